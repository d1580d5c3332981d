"""Studies: questions about test-time compute, answered from recorded runs, as a table and a page."""

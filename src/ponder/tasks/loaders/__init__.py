"""Problems from files, published data sets and families, by one spelling."""

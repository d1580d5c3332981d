"""Translation: short sentences in English, German, French and Spanish, written for this project.

Source: our own sentences, in the three kinds of difficulty that card 03 (Li et al. 2025, arXiv:2510.06471) measures:
plain statements (1), everyday language with names, numbers and clauses (2), idioms and ambiguous words whose sense the
sentence decides (3). Few and short: enough to see that a study works, not to rank systems; for that read a
file of your own (`load_problems("translation:FILE")`).
A reference is one right translation of several: compare with chrF or BLEU (`ponder study machine-translation`), for
equality with it is rare.
Cost: 60 completion tokens a translation are enough, thinking apart. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.tasks.problem import Problem, check_level

__all__ = ["LANGUAGES", "Translation", "translation_problem"]

Code = Literal["en", "de", "fr", "es"]
LANGUAGES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish"}

# (difficulty, English, German, French, Spanish)
_SENTENCES: tuple[tuple[int, str, str, str, str], ...] = (
    (
        1,
        "The library opens at nine.",
        "Die Bibliothek öffnet um neun.",
        "La bibliothèque ouvre à neuf heures.",
        "La biblioteca abre a las nueve.",
    ),
    (
        1,
        "My sister lives in a small town.",
        "Meine Schwester lebt in einer kleinen Stadt.",
        "Ma sœur vit dans une petite ville.",
        "Mi hermana vive en una ciudad pequeña.",
    ),
    (
        1,
        "The water in the lake is cold.",
        "Das Wasser im See ist kalt.",
        "L'eau du lac est froide.",
        "El agua del lago está fría.",
    ),
    (
        1,
        "We bought bread and cheese.",
        "Wir haben Brot und Käse gekauft.",
        "Nous avons acheté du pain et du fromage.",
        "Compramos pan y queso.",
    ),
    (
        1,
        "The children are playing in the garden.",
        "Die Kinder spielen im Garten.",
        "Les enfants jouent dans le jardin.",
        "Los niños juegan en el jardín.",
    ),
    (
        1,
        "Tomorrow it will rain.",
        "Morgen wird es regnen.",
        "Demain, il pleuvra.",
        "Mañana lloverá.",
    ),
    (
        1,
        "The red car is very fast.",
        "Das rote Auto ist sehr schnell.",
        "La voiture rouge est très rapide.",
        "El coche rojo es muy rápido.",
    ),
    (
        1,
        "I have never seen this film.",
        "Ich habe diesen Film noch nie gesehen.",
        "Je n'ai jamais vu ce film.",
        "Nunca he visto esta película.",
    ),
    (
        2,
        "If the train is late, we will miss the last ferry to the island.",
        "Wenn der Zug Verspätung hat, verpassen wir die letzte Fähre zur Insel.",
        "Si le train est en retard, nous manquerons le dernier ferry pour l'île.",
        "Si el tren se retrasa, perderemos el último transbordador a la isla.",
    ),
    (
        2,
        "The new bridge, which cost 40 million euros, was opened on 3 May.",
        "Die neue Brücke, die 40 Millionen Euro gekostet hat, wurde am 3. Mai eröffnet.",
        "Le nouveau pont, qui a coûté 40 millions d'euros, a été inauguré le 3 mai.",
        "El nuevo puente, que costó 40 millones de euros, se inauguró el 3 de mayo.",
    ),
    (
        2,
        "Although she was tired, Laura read two more chapters before going to bed.",
        "Obwohl sie müde war, las Laura noch zwei Kapitel, bevor sie ins Bett ging.",
        "Bien qu'elle fût fatiguée, Laura lut encore deux chapitres avant d'aller se coucher.",
        "Aunque estaba cansada, Laura leyó dos capítulos más antes de irse a la cama.",
    ),
    (
        2,
        "The doctor said that the wound had to be cleaned twice a day.",
        "Der Arzt sagte, dass die Wunde zweimal am Tag gereinigt werden müsse.",
        "Le médecin a dit qu'il fallait nettoyer la plaie deux fois par jour.",
        "El médico dijo que había que limpiar la herida dos veces al día.",
    ),
    (
        2,
        "Please send me the documents by Friday so that I can check them.",
        "Bitte schicken Sie mir die Unterlagen bis Freitag, damit ich sie prüfen kann.",
        "Veuillez m'envoyer les documents avant vendredi afin que je puisse les vérifier.",
        "Por favor, envíeme los documentos antes del viernes para que pueda revisarlos.",
    ),
    (
        2,
        "Nobody in the village remembers who planted the old oak.",
        "Niemand im Dorf erinnert sich daran, wer die alte Eiche gepflanzt hat.",
        "Personne au village ne se souvient de celui qui a planté le vieux chêne.",
        "Nadie en el pueblo recuerda quién plantó el viejo roble.",
    ),
    (
        2,
        "The more he practised, the better he played the violin.",
        "Je mehr er übte, desto besser spielte er Geige.",
        "Plus il s'exerçait, mieux il jouait du violon.",
        "Cuanto más practicaba, mejor tocaba el violín.",
    ),
    (
        2,
        "Without her help we would not have found the way home.",
        "Ohne ihre Hilfe hätten wir den Weg nach Hause nicht gefunden.",
        "Sans son aide, nous n'aurions pas retrouvé le chemin de la maison.",
        "Sin su ayuda no habríamos encontrado el camino a casa.",
    ),
    (
        3,
        "It is raining cats and dogs, so take an umbrella.",
        "Es regnet in Strömen, also nimm einen Schirm mit.",
        "Il pleut des cordes, alors prends un parapluie.",
        "Llueve a cántaros, así que lleva un paraguas.",
    ),
    (
        3,
        "He sat on the bank of the river and watched the boats.",
        "Er saß am Ufer des Flusses und sah den Booten zu.",
        "Il était assis au bord de la rivière et regardait les bateaux.",
        "Estaba sentado a la orilla del río y miraba los barcos.",
    ),
    (
        3,
        "The exam was a piece of cake.",
        "Die Prüfung war ein Kinderspiel.",
        "L'examen était un jeu d'enfant.",
        "El examen fue pan comido.",
    ),
    (
        3,
        "She let the cat out of the bag before the party.",
        "Sie hat das Geheimnis vor der Feier verraten.",
        "Elle a vendu la mèche avant la fête.",
        "Ella reveló el secreto antes de la fiesta.",
    ),
    (
        3,
        "The crane lifted the steel beam onto the roof.",
        "Der Kran hob den Stahlträger auf das Dach.",
        "La grue a soulevé la poutre d'acier jusqu'au toit.",
        "La grúa levantó la viga de acero hasta el tejado.",
    ),
    (
        3,
        "That phone costs an arm and a leg.",
        "Dieses Handy kostet ein Vermögen.",
        "Ce téléphone coûte les yeux de la tête.",
        "Ese teléfono cuesta un ojo de la cara.",
    ),
    (
        3,
        "They kept their fingers crossed during the penalty shoot-out.",
        "Beim Elfmeterschießen drückten sie die Daumen.",
        "Ils ont croisé les doigts pendant les tirs au but.",
        "Cruzaron los dedos durante la tanda de penaltis.",
    ),
    (
        3,
        "The spring in the old watch is broken.",
        "Die Feder in der alten Uhr ist gebrochen.",
        "Le ressort de la vieille montre est cassé.",
        "El muelle del viejo reloj está roto.",
    ),
)
_COLUMN = {"en": 1, "de": 2, "fr": 3, "es": 4}


@tasks("translation", tags={"where": ("translation",)})
@dataclass(frozen=True, kw_only=True)
class Translation:
    """Sentences to translate.

    Attributes:
        origin: language that is translated from.
        into: language that is translated into; "any" for one of the others, another where a sentence comes again.
        level: 1, 2 or 3; None for all.
    """

    origin: Code = "en"
    into: Code | Literal["any"] = "any"
    level: int | None = None

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.origin not in LANGUAGES or self.into not in (*LANGUAGES, "any") or self.origin == self.into:
            raise ConfigError(f"origin and into must be two of {', '.join(LANGUAGES)}, or into any")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` of the sentences, shuffled by the seed; none comes again before all came.

        Raises:
            ConfigError: there are not so many.
        """
        rows = [row for row in _SENTENCES if self.level in (None, row[0])]
        others = [code for code in LANGUAGES if code != self.origin] if self.into == "any" else [self.into]
        most = len(rows) * len(others)
        if not 0 <= count <= most:
            raise ConfigError(f"count must be from 0 to {most}, the sentences that there are, got {count!r}")
        targets = {row: derive(seed, "tasks", "translation", row[1]).sample(others, len(others)) for row in rows}
        found = []
        for turn in range(len(others)):
            derive(seed, "tasks", "translation", turn).shuffle(rows)
            found += [self._problem(row, targets[row][turn]) for row in rows]
        return found[:count]

    def _problem(self, row: tuple[int, str, str, str, str], into: str) -> Problem:
        return translation_problem(
            str(row[_COLUMN[self.origin]]),
            str(row[_COLUMN[into]]),
            source_language=LANGUAGES[self.origin],
            target_language=LANGUAGES[into],
            difficulty=row[0],
            max_tokens=60,
        )


def translation_problem(
    source: str, reference: str, *, source_language: str, target_language: str, identity: str = "", **about: Any
) -> Problem:
    """Return a problem whose task names both languages and ends with the label of the target.

    Args:
        source: the text.
        reference: a right translation, for the grader.
        source_language: name of its language.
        target_language: name of the language to translate into.
        identity: stable name of the task.
        about: more metadata.
    """
    prompt = (
        f"Translate this text from {source_language} into {target_language}. Give only the translation.\n"
        f"{source_language}: {source}\n{target_language}:"
    )
    metadata = {
        "family": "translation",
        "source": source,
        "source_language": source_language,
        "target_language": target_language,
        **about,
    }
    return Problem(
        task=Task(messages=(Message("user", prompt),), answer="text", id=identity, metadata=metadata),
        reference=reference,
    )

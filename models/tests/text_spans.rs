//! A reply that mixes languages is pronounced each word in its own, and one that does not is not torn apart.

#[path = "common/words.rs"]
mod common;

use common::pronunciations;
use tertulia::LanguageTag;
use tertulia_models::text::phonemize;

#[test]
fn mixed_replies_are_split_where_the_language_changes() {
    let languages: Vec<LanguageTag> = vec!["en".parse().unwrap(), "es".parse().unwrap()];
    for marked in MIXED {
        let (text, expected) = unmark(marked);
        let words = phonemize(&text, &languages, &Default::default(), false, pronunciations()).unwrap();
        let got: Vec<(&str, &str)> =
            words.iter().map(|word| (&text[word.text_span.clone()], word.language.as_str())).collect();
        let wanted: Vec<(&str, &str)> = got
            .iter()
            .zip(&words)
            .map(|(&(shown, _), word)| {
                let spanish = expected.iter().any(|span| span.contains(&word.text_span.start));
                (shown, if spanish { "es" } else { "en" })
            })
            .collect();
        assert_eq!(got, wanted, "{marked}");
    }
}

#[test]
fn one_language_stays_whole_whichever_is_named_first() {
    for (language, text) in [("en", ENGLISH), ("es", SPANISH)] {
        for order in [["en", "es"], ["es", "en"]] {
            let languages: Vec<LanguageTag> = order.iter().map(|tag| tag.parse().unwrap()).collect();
            let words = phonemize(text, &languages, &Default::default(), false, pronunciations()).unwrap();
            let strays: Vec<&str> = words
                .iter()
                .filter(|word| word.language.as_str() != language)
                .map(|word| &text[word.text_span.clone()])
                .collect();
            assert!(strays.len() * 100 < words.len(), "{language} {order:?}: {strays:?}");
        }
    }
}

#[test]
fn a_language_that_is_not_named_is_not_spoken() {
    let english: LanguageTag = "en-GB".parse().unwrap();
    let words = phonemize(
        "Tengo hambre means I'm hungry.",
        std::slice::from_ref(&english),
        &Default::default(),
        true,
        pronunciations(),
    );
    assert!(words.unwrap().iter().all(|word| word.language == english));
    let error =
        phonemize("Bonjour", &["fr".parse().unwrap()], &Default::default(), false, pronunciations()).unwrap_err();
    assert_eq!(error.code(), tertulia::ErrorCode::LanguageUnsupported);
}

/// The text without its brackets, and the bytes that stood in them.
fn unmark(marked: &str) -> (String, Vec<std::ops::Range<usize>>) {
    let (mut text, mut spans, mut start) = (String::new(), Vec::new(), 0);
    for c in marked.chars() {
        match c {
            '[' => start = text.len(),
            ']' => spans.push(start..text.len()),
            other => text.push(other),
        }
    }
    (text, spans)
}

/// Spanish stands in brackets.
const MIXED: &[&str] = &[
    "The Spanish for \"thank you\" is \"[gracias]\".",
    "You can say \"[tengo dos hermanos]\" or \"[tengo una hermana]\".",
    "[Hola], how are you today?",
    "[¡Muy bien!] You are learning fast.",
    "[Perfecto.] Now try the next one.",
    "Remember: \"[ser]\" is for identity and \"[estar]\" is for states.",
    "We say \"[hace calor]\", not \"[es calor]\".",
    "The plural of \"[lápiz]\" is \"[lápices]\".",
    "\"[¿Cómo te llamas?]\" means \"What is your name?\"",
    "Use \"[me llamo]\" to introduce yourself: \"[Me llamo Tom]\".",
    "\"[Buenos días]\" is for the morning, \"[buenas tardes]\" for the afternoon.",
    "Good try! The correct sentence is \"[Ella tiene veinte años]\".",
    "Maria lives in Madrid, and she says \"[vale]\" all the time.",
    "Let's order: \"[Quiero una ensalada, por favor].\"",
    "The word \"[biblioteca]\" means library.",
    "\"[Éxito]\" is a false friend; it means success.",
    "How do you say \"cheese\" in Spanish? \"[Queso].\"",
    "In Mexico people say \"[ahorita]\" a lot.",
    "[La palabra \"]dog[\" significa perro.]",
    "[En inglés decimos \"]I am cold[\".]",
    "[Tu frase \"]I have twenty years[\" no es correcta.]",
    "[Muy bien, pero en inglés es \"]I went to the beach[\".]",
    "[Repite conmigo: \"]Where is the station?[\"]",
    "[El verbo \"]to be[\" es irregular.]",
    "[\"]Please[\" significa por favor.]",
    "[¿Sabes qué significa \"]tomorrow[\"?]",
    "[\"]Library[\" no es librería, es biblioteca.]",
    "Nice! [¿Y qué haces los fines de semana?]",
    "That's right. [Ahora pregúntame algo a mí.]",
    "[Claro que sí.] What would you like to talk about?",
    "Don't say \"[yo gusto]\", say \"[me gusta]\".",
    "The verb \"[hablar]\" becomes \"[hablo]\", \"[hablas]\", \"[habla]\".",
    "'[Estoy aburrido]' means I'm bored, but '[soy aburrido]' means I'm boring.",
    "*[Madrugar]* means to get up early.",
    "\"[Ojalá]\" comes from Arabic.",
    "My friend Carlos says \"[no pasa nada]\" when I make a mistake.",
    "I went to San Francisco with José last summer.",
    "[Mi amigo John vive en New York con su perro.]",
    "[Me gusta la música de los Beatles.]",
    "\"[Mañana]\" can mean tomorrow or morning.",
    "You could answer: [Sí, me gusta mucho.]",
    "[Sí], exactly!",
    "In Spanish, adjectives follow the noun: \"[la casa roja]\".",
    "To ask the price, say \"[¿Cuánto cuesta?]\".",
    "The opposite of \"[alto]\" is \"[bajo]\".",
    "\"[Pan]\" is bread and \"[leche]\" is milk.",
    "Well done! You used \"[había]\" correctly.",
];

const ENGLISH: &str = "\
    Last year we visited a small village near the coast, where my grandmother was born. The hotel was a plain house \
    with a red door, and its owner, Mrs. Garcia, made coffee for everybody at six in the morning. Normal people would \
    have slept until nine. Once, a fisherman called Ramon took us out in his boat; the sea was as flat as a table. \
    No real plan, no radio, no virus, no taxi: a perfect idea! On the final day we ate paella and tacos in a plaza. \
    San Diego and Los Angeles are in California. He said that the capital of Colombia is Bogota. Can you come at ten? \
    I need an animal doctor, not a general. Me too. Sin is a strong word. The dame sang solo. Pie or cereal? Chocolate.";

const SPANISH: &str = "\
    El año pasado visitamos un pueblo pequeño cerca de la costa, donde nació mi abuela. El hotel era una casa normal \
    con una puerta roja, y su dueña, la señora García, preparaba café para todos a las seis de la mañana. La gente \
    normal habría dormido hasta las nueve. Una vez, un pescador que se llamaba Ramón nos llevó en su barco; el mar \
    estaba como un plato. Sin plan, sin radio, sin virus, sin taxi: ¡una idea perfecta! El último día comimos paella \
    y tacos en la plaza. Los Ángeles está en California. Me dijo que la capital de Colombia es Bogotá. Ven a las diez. \
    Necesito un doctor, no un general. Yo también. Mi amigo Peter trabaja en Google y vive en Boston. No me digas. \
    He visto once animales. Dame pan. ¿Van con ella? Come más. Es real. Hay un error. Red social. Todo final es triste.";

//! Which words of a text are in which language.
//!
//! Each word speaks for a language as strongly as its letters and its dictionary allow; changing the language costs
//! something, least at quotation marks and most in the middle of a clause; the cheapest way through the text wins
//! (Viterbi, two states). So names and doubtful words stay with their neighbours.

use super::english;
use super::normalize::word_len;
use super::spanish::fold_accent;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

/// Cuts `text` into runs of one language each: `(bytes, is_spanish)`, in order, covering all of it.
/// `spanish_first` tells which language is likelier where the words do not.
pub(super) fn spans(text: &str, spanish_first: bool) -> Vec<(Range<usize>, bool)> {
    let words = words(text);
    let spanish = likeliest(text, &words, spanish_first);
    let mut spans: Vec<(Range<usize>, bool)> = Vec::new();
    for (word, is_spanish) in words.iter().zip(spanish) {
        match spans.last_mut() {
            Some((span, language)) if *language == is_spanish => span.end = word.span.end,
            _ => spans.push((word.span.clone(), is_spanish)),
        }
    }
    cover(text, spans, spanish_first)
}

/// Extends the runs of words over what stands between them: an opening mark goes with the run after it.
fn cover(text: &str, mut spans: Vec<(Range<usize>, bool)>, spanish_first: bool) -> Vec<(Range<usize>, bool)> {
    let Some(first) = spans.first_mut() else { return vec![(0..text.len(), spanish_first)] };
    first.0.start = 0;
    for index in 1..spans.len() {
        let gap = spans[index - 1].0.end..spans[index].0.start;
        let between = &text[gap.clone()];
        let last_blank = between.rfind(char::is_whitespace);
        let opening = last_blank.map_or_else(
            || between.find(['(', '“', '«', '¿', '¡', '‘']).unwrap_or(between.len()),
            |blank| blank + between[blank..].chars().next().map_or(1, char::len_utf8),
        );
        // Numbers and signs between two languages go with the words before them, unless a mark parts them.
        let cut = gap.start + opening;
        spans[index - 1].0.end = cut;
        spans[index].0.start = cut;
    }
    if let Some(last) = spans.last_mut() {
        last.0.end = text.len();
    }
    spans
}

/// A word and what it tells.
struct Word {
    span: Range<usize>,
    /// Positive for Spanish, negative for English.
    evidence: f32,
    /// What changing the language right before it costs.
    change_cost: f32,
    /// Whether it stands in quotation marks.
    quoted: bool,
    /// The sentence it is in.
    sentence: usize,
}

const COST_WITHIN_CLAUSE: f32 = 5.0;
const COST_AT_COMMA: f32 = 2.4;
const COST_AT_BRACKET: f32 = 1.6;
const COST_AT_SENTENCE: f32 = 1.2;
const COST_AT_QUOTE: f32 = 0.7;
/// What a sentence that speaks about the other language adds to the words it quotes.
const QUOTED_CUE: f32 = 1.5;

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut cost: f32 = COST_WITHIN_CLAUSE;
    let mut open_quote: Option<char> = None;
    let mut sentence = 0;
    let mut sentence_start = true;
    let mut inverted = false;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_alphabetic() {
            let len = word_len(&text[at..]).max(c.len_utf8());
            let word = &text[at..at + len];
            let glued_to_digit = text[..at].ends_with(|c: char| c.is_ascii_digit());
            let mut evidence = if glued_to_digit { 0.0 } else { evidence(word, sentence_start) };
            if std::mem::take(&mut inverted) {
                evidence += 3.0;
            }
            words.push(Word {
                span: at..at + len,
                evidence,
                change_cost: cost,
                quoted: open_quote.is_some(),
                sentence,
            });
            (cost, sentence_start) = (COST_WITHIN_CLAUSE, false);
            at += len;
            continue;
        }
        let after = text[at + c.len_utf8()..].chars().next();
        let ends_word = after.is_none_or(|after| !after.is_alphanumeric());
        match c {
            '"' | '“' | '”' | '«' | '»' | '„' => {
                open_quote = match open_quote {
                    Some(_) if c != '“' && c != '«' => None,
                    _ => Some(c),
                };
                cost = cost.min(COST_AT_QUOTE);
                sentence_start = true;
            }
            '\'' | '‘' | '’' | '*' | '_' | '`' => {
                let before_is_blank = at == 0 || text[..at].ends_with([' ', '(', '\n', '¿', '¡', '*', '_']);
                if before_is_blank || ends_word {
                    cost = cost.min(COST_AT_QUOTE);
                    open_quote = if before_is_blank && !ends_word {
                        Some(c)
                    } else {
                        open_quote.filter(|open| *open != c && *open != '‘')
                    };
                    sentence_start |= before_is_blank;
                }
            }
            '.' | '!' | '?' | '…' | '\n' if ends_word => {
                if cost == COST_WITHIN_CLAUSE || !sentence_start {
                    sentence += 1;
                }
                cost = cost.min(COST_AT_SENTENCE);
                sentence_start = true;
            }
            '¿' | '¡' => {
                inverted = true;
                cost = cost.min(COST_AT_COMMA);
                sentence_start = true;
            }
            ':' | '(' | ')' | '[' | ']' | '—' | '–' | '=' | '→' | '/' => {
                cost = cost.min(COST_AT_BRACKET);
                sentence_start |= c == ':';
            }
            ',' | ';' => cost = cost.min(COST_AT_COMMA),
            '-' if ends_word => cost = cost.min(COST_AT_BRACKET),
            _ => {}
        }
        at += c.len_utf8();
    }
    words
}

fn likeliest(text: &str, words: &[Word], spanish_first: bool) -> Vec<bool> {
    let cues = cues(text, words);
    // best[state]: the score of the best way that ends in English (0) or Spanish (1).
    let mut best = if spanish_first { [-0.4, 0.0] } else { [0.0, -0.4] };
    let mut came_from: Vec<[usize; 2]> = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let mut evidence = word.evidence;
        if word.quoted {
            evidence += cues.get(word.sentence).copied().unwrap_or(0.0);
        }
        let change = if index == 0 { 0.0 } else { word.change_cost };
        let mut next = [0.0; 2];
        let mut from = [0; 2];
        for state in 0..2 {
            let (stay, switch) = (best[state], best[1 - state] - change);
            from[state] = if stay >= switch { state } else { 1 - state };
            next[state] = stay.max(switch) + if state == 1 { evidence } else { -evidence };
        }
        came_from.push(from);
        let top = next[0].max(next[1]);
        best = [next[0] - top, next[1] - top];
    }
    let mut state = usize::from(best[1] > best[0] || (best[1] == best[0] && spanish_first));
    let mut spanish = vec![false; words.len()];
    for index in (0..words.len()).rev() {
        spanish[index] = state == 1;
        state = came_from[index][state];
    }
    spanish
}

/// What each sentence says about the language of its quotations: an English sentence that names Spanish, and so on.
fn cues(text: &str, words: &[Word]) -> Vec<f32> {
    let mut cues = vec![0.0; words.last().map_or(0, |word| word.sentence + 1)];
    for word in words.iter().filter(|word| !word.quoted) {
        match text[word.span.clone()].to_lowercase().as_str() {
            "spanish" | "español" | "castellano" | "española" => cues[word.sentence] = QUOTED_CUE,
            "english" | "inglés" | "inglesa" => cues[word.sentence] = -QUOTED_CUE,
            _ => {}
        }
    }
    cues
}

/// How much a word speaks for Spanish (above 0) or English (below).
fn evidence(word: &str, sentence_start: bool) -> f32 {
    let lower = word.to_lowercase().replace('’', "'");
    let plain = lower.as_str();
    match (SPANISH.contains(plain), ENGLISH.contains(plain)) {
        _ if EITHER.contains(plain) => return 0.0,
        (true, true) => return 0.0,
        (true, false) => return 3.0,
        (false, true) => return -3.0,
        (false, false) => {}
    }
    if plain.contains('\'') {
        return -2.5;
    }
    let capital = word.starts_with(char::is_uppercase);
    let folded: String = plain.chars().map(fold_accent).collect();
    let is_english = english::knows(&folded);
    if plain.contains(['ñ', 'á', 'í', 'ó', 'ú']) || (plain.contains('é') && !is_english) {
        return if capital && !sentence_start { 0.3 } else { 3.0 };
    }
    let all_capitals = word.chars().count() > 1 && word.chars().all(char::is_uppercase);
    if (capital && !sentence_start) || all_capitals || plain.chars().count() == 1 {
        return 0.0;
    }
    let looks = spelling(plain);
    let known = match (is_english, looks > 0.0) {
        (true, true) => -0.2,
        (true, false) => -1.8,
        (false, true) => 1.2,
        (false, false) => 0.0,
    };
    let evidence = known + looks;
    if capital { evidence * 0.6 } else { evidence }
}

/// How Spanish a spelling looks.
fn spelling(word: &str) -> f32 {
    const ENGLISH_LETTERS: &[&str] = &[
        "th", "wh", "sh", "ck", "gh", "oo", "ee", "ea", "ou", "ow", "aw", "ew", "ay", "ey", "oy", "k", "w", "tt", "pp",
        "ff", "mm", "ss", "bb", "dd", "gg", "zz", "ph", "tch", "dge", "wr", "kn",
    ];
    const ENGLISH_ENDINGS: &[&str] = &[
        "ing", "ed", "ly", "ness", "tion", "ght", "y", "ful", "less", "ment", "ous", "ble", "t", "c", "m", "p", "g",
        "f", "h", "v", "b", "rs", "ts", "ds", "ks", "ls", "ps", "gs", "ms", "ns",
    ];
    const SPANISH_ENDINGS: &[&str] = &[
        "ar", "er", "ir", "ando", "iendo", "ado", "ada", "ados", "adas", "ido", "ida", "idos", "idas", "amos", "emos",
        "imos", "aba", "aban", "aría", "cion", "dad", "mente", "oso", "osa", "illo", "illa", "ito", "ita", "os", "as",
        "o", "a", "aje", "ero", "era", "eza", "anza", "encia", "ancia", "ez", "uz", "az",
    ];
    let mut score: f32 = 0.0;
    if ENGLISH_LETTERS.iter().any(|letters| word.contains(letters)) {
        score -= 1.5;
    }
    if ENGLISH_ENDINGS.iter().any(|ending| word.ends_with(ending)) {
        score -= 0.8;
    }
    if SPANISH_ENDINGS.iter().any(|ending| word.ends_with(ending)) {
        score += 1.0;
    }
    if ["ll", "rr", "ue", "ie", "qu", "j"].iter().any(|letters| word.contains(letters)) && score >= 0.0 {
        score += 0.4;
    }
    score
}

static SPANISH: LazyLock<HashSet<&'static str>> = LazyLock::new(|| SPANISH_WORDS.split_whitespace().collect());
static ENGLISH: LazyLock<HashSet<&'static str>> = LazyLock::new(|| ENGLISH_WORDS.split_whitespace().collect());

static EITHER: LazyLock<HashSet<&'static str>> = LazyLock::new(|| EITHER_WORDS.split_whitespace().collect());

/// Words that are spelled alike in both languages.
const EITHER_WORDS: &str = "\
    a actor admirable animal area audio auto bar base cable cafeteria camera capital carnaval central cereal chef \
    chocolate club color come con control criminal cruel cultural dame digital director doctor drama era error euro \
    euros favor festival fin final formal formula fiesta general has he honor horrible hospital hotel humor idea ideal \
    inferior internet kilo labor legal local manual me menu mental metro miserable motor musical natural no noble \
    normal notable once opera original panorama patio personal piano pie plan plaza plural popular probable protocol \
    radio real red regular rodeo rural sale similar simple singular sin social sofa son sector solar stereo superior \
    taco tacos tan tango taxi terrible terror total tractor triple usual van vapor video virus visible vital web";

/// The commonest Spanish words; those that are common in English too stand in both lists and so tell nothing.
const SPANISH_WORDS: &str = "\
    a al ante antes así aunque bajo cada como cómo con contra cosa cosas cual cuando cuándo cuanto de del desde después \
    donde dónde dos e el ella ellas ellos en entonces entre era eran es esa ese eso esos esas esta está están estaba \
    estamos estar este esto estos estas estoy fue fueron fui ha había habla hablar hablo hace hacer hago han has hasta \
    hay he hemos hoy la las le les lo los luego más me menos mi mis mismo misma mucho mucha muchos muchas muy nada nadie \
    ni no nos nosotros nuestra nuestro nunca o otra otro otras otros para pero poco por porque pues que qué quien quién \
    quiero quiere quieres se sea ser si sí siempre sin sino sobre solo sólo son soy su sus también tan tanto te tener \
    tengo tiene tienen tienes todo toda todos todas tu tú tus un una uno unos unas usted ustedes va vamos van vas ver \
    voy y ya yo él años año día días vez veces casa tiempo hombre mujer gente vida mundo agua comida noche noches \
    mañana tarde buenas buenos buena bueno bien mal gracias hola adiós favor perdón siento señor señora amigo amiga \
    amigos hermana hermano madre padre familia hijo hija niño niña perro gato libro libros mesa silla puerta calle \
    ciudad país trabajo escuela estudiante estudiantes profesor tren estación camino gusta gustan gustaría encanta \
    puedo puede puedes pueden poder decir dice dijo dicho digo saber sé sabe sabes ir fuiste iba ido vivir vive vivo \
    comer como come bebe beber leer escribir pensar creo cree parece llama llamo llamas cuesta dinero precio cuenta \
    café leche pan carne pescado fruta manzana manzanas naranja vino cerveza mercado tienda restaurante desayuno cena \
    almuerzo hambre sed frío calor sol lluvia llueve cielo mar playa grande pequeño pequeña nuevo nueva viejo vieja \
    bonito bonita malo mala mejor peor rojo azul verde blanco negro lunes martes miércoles jueves viernes sábado domingo \
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre cero tres cuatro cinco \
    seis siete ocho nueve diez once veinte cien mil primero primera segundo segunda tercero aquí allí ahí ahora ayer \
    anoche cerca lejos dentro fuera arriba abajo izquierda derecha vale claro despacio repite repetir escucha mira \
    palabra palabras frase inglés inglesa español española significa dicen pregunta respuesta ejemplo verdad cansado \
    cansada contento feliz triste enfermo hacemos hacen vemos tenemos hablamos hablas quisiera podría podrías debo \
    debe debes hacía mientras según durante hacia tras quizás tal cuyo aquel aquella suyo mío mía tuyo qué dame dime \
    me quedo queda quedamos lleva llevar llegar llega llego salir sale salgo poner pone pongo venir viene vengo dar \
    doy da dan das muchísimo chico chica cine música película ventana parque hotel hospital cabeza mano ojos \
    desde adelante excelente perfecto exacto correcto importante interesante fácil difícil posible";

/// The commonest English words.
const ENGLISH_WORDS: &str = "\
    a able about above after again against all almost along already also although always am among an and another any \
    anything are around as ask at away back be because been before began being below best better between both but by \
    call came can cannot come comes could day days did different do does doing done don't down each early earlier eat \
    either else end enough even ever every everything example far feel few find first five food for four found from \
    full gave get gets give go goes going good got great had half happy hard has have he hello help her here him his \
    home hope hot house how however hundred i i'd i'll i'm i've if important in into is isn't it its it's job just keep \
    kind know last late later learn least left less let like likes literally little live long look looks lot love made \
    make makes man many may maybe me mean means meet men might more morning most much must my name need never new next \
    nice night no none nor not nothing now number of off often oh ok okay old on once one only or order other our out \
    over own part past people perhaps place play please point put question quite rather read ready really red remember \
    right room said same saw say saying says school see seem seems seen sentence set seven she should show since six \
    small so some someone something son soon sorry speak still stop street study such sure table take talk tea tell ten \
    tense than thank thanks that that's the their them then there these they thing things think this those though \
    thought thousand three through time times to today together told tomorrow tonight too took train try trying turn \
    twelve two under understand until up upon us use used using usually verb very want was water way we week well went \
    were what what's when where which while who whole whom whose why will wish with without woman women wonderful won't \
    word words work works world would write wrong yeah year years yes yesterday yet you your you're yours young \
    perfect correct \
    excellent exactly almost answer repeat listen practice practise conversation translate pronounce polite family \
    breakfast lunch dinner coffee bill tired hungry cold weather friend friends movie brother sister mother father";

//! Strings that spaCy numbers itself: names of dependencies and of parts of speech, some of which are words.

/// The names of dependencies, in order from 398 on.
const DEPENDENCIES: &str = "\
    acomp advcl advmod agent amod appos attr aux auxpass cc ccomp complm conj cop csubj csubjpass dep det dobj \
    expl hmod hyph infmod intj iobj mark meta neg nmod nn npadvmod nsubj nsubjpass num number oprd obj obl \
    parataxis partmod pcomp pobj poss possessive preconj prep prt punct quantmod relcl rcmod root xcomp acl";

/// Other names that are as short as the end of a word.
const SHORT: [(&str, u64); 18] = [
    ("ID", 64),
    ("POS", 74),
    ("TAG", 75),
    ("DEP", 76),
    ("ADJ", 84),
    ("ADP", 85),
    ("ADV", 86),
    ("AUX", 87),
    ("DET", 90),
    ("NUM", 93),
    ("SYM", 99),
    ("X", 101),
    ("EOL", 102),
    ("ORG", 383),
    ("GPE", 384),
    ("LOC", 385),
    ("LAW", 390),
    ("IDX", 455),
];

/// The string's number, where spaCy gives it one.
pub(super) fn symbol(text: &str) -> Option<u64> {
    let short = || SHORT.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    match text.as_bytes().first() {
        None => Some(0),
        Some(b'a'..=b'z') => {
            (398..).zip(DEPENDENCIES.split(' ')).find(|(_, name)| *name == text).map(|(number, _)| number)
        }
        _ => short(),
    }
}

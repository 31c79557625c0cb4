//! What the notes of a conversation must not lose. Small chat models leave out what mattered, and copy what they were to
//! sum up: so what names somebody or something is kept word for word where the new notes do not name it. Pure.

use crate::text;
use std::collections::HashSet;

/// What a line of the conversation begins with.
pub(crate) struct Labels<'l> {
    pub(crate) learner: &'l str,
    pub(crate) tutor: &'l str,
}

/// The notes that a chat model made of those `before` and of what was said since, in lines; without the tutor's words, and
/// with what names somebody or something that the model left out, which takes half of `tokens_max` at most.
///
/// Names are told by their capital letters: in languages that have none for them nothing is added, and where every noun
/// has one, more than names.
pub(crate) fn complete(
    notes: &str,
    before: &str,
    said: &str,
    labels: &Labels<'_>,
    tokens_max: usize,
    count: impl Fn(&str) -> usize,
) -> String {
    let mut notes: Vec<&str> =
        notes.lines().filter(|line| !line.trim().is_empty() && !is_of(line, labels.tutor)).collect();
    let ordinary: HashSet<&str> = words(before).chain(words(said)).filter(|word| !is_capital(word)).collect();
    let is_ordinary = |name: &str| ordinary.contains(name.to_lowercase().as_str());
    let mut named: HashSet<&str> = notes.iter().flat_map(|line| words(line)).collect();
    let (mut kept, mut tokens) = (Vec::new(), 0);
    let said_sentences = said.lines().flat_map(|line| {
        let label = [labels.learner, labels.tutor].into_iter().find(|label| is_of(line, label)).unwrap_or_default();
        sentences(&line[label.len()..]).map(move |sentence| (label, sentence))
    });
    for (label, sentence) in before.lines().flat_map(sentences).map(|sentence| ("", sentence)).chain(said_sentences) {
        let names: Vec<&str> = names(sentence).filter(|name| !is_ordinary(name)).collect();
        let whole = format!("{label}{sentence}");
        let cost = count(&whole);
        if names.iter().any(|name| !named.contains(name)) && tokens + cost <= tokens_max / 2 {
            tokens += cost;
            named.extend(names);
            kept.push(whole);
        }
    }
    if kept.is_empty() && notes.is_empty() {
        // The tutor's words were all of it.
        notes = said.lines().filter(|line| is_of(line, labels.learner)).collect();
    }
    kept.extend(notes.into_iter().flat_map(sentences).map(str::to_owned));
    let fits = |kept: &[String]| count(&kept.join(" ")) <= tokens_max;
    while kept.len() > 1 && !fits(&kept) {
        kept.pop();
    }
    kept.join(" ")
}

fn is_of(line: &str, label: &str) -> bool {
    !label.is_empty() && line.starts_with(label)
}

/// The sentences of a line that have words.
fn sentences(line: &str) -> impl Iterator<Item = &str> {
    text::sentences(line).map(str::trim).filter(|sentence| sentence.chars().any(char::is_alphanumeric))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn is_capital(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

/// Words with a capital letter that do not have it for standing first.
fn names(sentence: &str) -> impl Iterator<Item = &str> {
    words(sentence).skip(1).filter(|word| is_capital(word) && word.chars().nth(1).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels<'_> = Labels { learner: "Alumno: ", tutor: "Tutor: " };

    fn count(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn of(notes: &str, before: &str, said: &str) -> String {
        complete(notes, before, said, &LABELS, 60, count)
    }

    #[test]
    fn notes_that_name_all_stay_as_they_are() {
        let said = "Alumno: Hola, me llamo Ximena.\nTutor: ¡Encantada, Ximena! ¿De dónde eres?\nAlumno: De Sevilla.\n";
        let notes = "La alumna se llama Ximena y es de Sevilla.";
        assert_eq!(of(notes, "", said), notes);
        assert_eq!(of(notes, notes, "Alumno: Hoy llueve. Tengo frío.\n"), notes);
    }

    #[test]
    fn what_is_named_and_left_out_is_kept_word_for_word() {
        let before = "La alumna se llama Ximena y es de Sevilla. Le gusta leer.";
        let said = "Alumno: Tengo una perra. Se llama Canela.\nTutor: ¡Qué nombre! ¿Y Canela ladra?\n";
        let complete = of("Tiene una perra.", before, said);
        let kept = "La alumna se llama Ximena y es de Sevilla. Alumno: Se llama Canela. Tiene una perra.";
        assert_eq!(complete, kept, "a name is kept once, where it was told first");
    }

    #[test]
    fn a_copy_of_the_conversation_is_no_note() {
        let said = "Alumno: Ayer llovió mucho.\nTutor: ¡Claro! Llovió.\nAlumno: Fui al parque.\nTutor: Muy bien.\n";
        assert_eq!(
            of(said, "Se llama la alumna Ana.", said),
            "Se llama la alumna Ana. Alumno: Ayer llovió mucho. Alumno: Fui al parque."
        );
        assert_eq!(of("Tutor: ¡Claro!", "", said), "Alumno: Ayer llovió mucho. Alumno: Fui al parque.");
    }

    #[test]
    fn a_capital_letter_alone_makes_no_name() {
        let said = "Alumno: Ayer fui al mercado. El Mercado es grande. Y YO compré.\nTutor: ¡Yo también! En casa comemos queso.\n";
        assert_eq!(of("Fue de compras.", "", said), "Alumno: Y YO compré. Fue de compras.");
    }

    #[test]
    fn what_was_kept_stays_through_many_notes_and_takes_half_of_the_room() {
        let mut notes = of("Nada.", "", "Alumno: Hola, me llamo Ximena.\nTutor: Hola.\n");
        for n in 0..300 {
            let said = format!("Alumno: Conozco a Pepe{n} y a Lola{n}.\nTutor: ¡Qué bien!\n");
            notes = of("Tiene amigos. Sale mucho.", &notes, &said);
            assert!(count(&notes) <= 60, "{notes}");
        }
        assert!(notes.starts_with("Alumno: Hola, me llamo Ximena."), "{notes}");
        assert!(notes.ends_with("Tiene amigos. Sale mucho."), "{notes}");
    }

    #[test]
    fn scripts_without_capitals_do_no_harm() {
        assert_eq!(of("名前はアナです。", "犬がいます。", "Alumno: こんにちは。\n"), "名前はアナです。");
        assert_eq!(of("", "", ""), "");
    }
}

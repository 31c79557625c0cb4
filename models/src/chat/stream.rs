//! [`TextStream`]: the text of a reply as it grows.

/// Turns the bytes of tokens into whole characters, and ends at the first stop text.
///
/// Bytes that may yet become part of a character or of a stop text are held back.
#[derive(Debug)]
pub(super) struct TextStream {
    stops: Vec<String>,
    held: Vec<u8>,
    stopped: bool,
}

impl TextStream {
    /// Empty stop texts mean nothing.
    pub(super) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: Vec::new(), stopped: false }
    }

    /// True if a stop text came.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Adds a token's bytes; gives the text that can be shown now, which may be empty.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend(bytes);
        let ready = whole_characters(&mut self.held);
        let first_stop = self.stops.iter().filter_map(|stop| ready.find(stop.as_str())).min();
        let shown = match first_stop {
            Some(at) => {
                self.stopped = true;
                self.held.clear();
                &ready[..at]
            }
            None => {
                let kept = self.stops.iter().map(|stop| overlap(&ready, stop)).max().unwrap_or(0);
                let (shown, kept) = ready.split_at(ready.len() - kept);
                self.held.splice(0..0, kept.bytes());
                shown
            }
        };
        shown.to_owned()
    }

    /// The reply is over: gives what was held back, without a character that never became whole.
    pub(super) fn finish(&mut self) -> String {
        let rest = whole_characters(&mut self.held);
        self.held.clear();
        rest
    }
}

/// Takes all but an unfinished character off `bytes`. Bytes that can never be a character become U+FFFD.
fn whole_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    loop {
        match std::str::from_utf8(bytes) {
            Ok(valid) => {
                text.push_str(valid);
                bytes.clear();
                return text;
            }
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).expect("valid up to here"));
                match error.error_len() {
                    None => {
                        *bytes = rest.to_vec();
                        return text;
                    }
                    Some(len) => {
                        text.push(char::REPLACEMENT_CHARACTER);
                        *bytes = rest[len..].to_vec();
                    }
                }
            }
        }
    }
}

/// The length of the longest end of `text` that is a beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let starts = stop.char_indices().map(|(at, _)| at).filter(|&len| len > 0 && len <= text.len());
    starts.filter(|&len| text.as_bytes().ends_with(&stop.as_bytes()[..len])).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], chunks: &[&[u8]]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut stream = TextStream::new(&stops);
        let mut shown = Vec::new();
        for chunk in chunks {
            if !stream.is_stopped() {
                shown.push(stream.push(chunk));
            }
        }
        if !stream.is_stopped() {
            shown.push(stream.finish());
        }
        (shown, stream.is_stopped())
    }

    #[test]
    fn characters_come_whole() {
        let emoji = "👍🏽é".as_bytes();
        for cut in 0..emoji.len() {
            let (shown, _) = run(&[], &[&emoji[..cut], &emoji[cut..]]);
            assert_eq!(shown.concat(), "👍🏽é");
            assert!(shown.iter().all(|text| !text.contains('\u{fffd}')));
        }
    }

    #[test]
    fn impossible_bytes_are_replaced_and_unfinished_ones_dropped() {
        assert_eq!(run(&[], &[b"a\xffb"]).0.concat(), "a\u{fffd}b");
        assert_eq!(run(&[], &[b"a\xf0\x9f\x91"]).0.concat(), "a");
    }

    #[test]
    fn stop_texts_never_show_however_they_are_split() {
        let text = "uno dos\nTú: tres".as_bytes();
        for first in 0..text.len() {
            for second in first..text.len() {
                let (shown, stopped) =
                    run(&["\nTú:", "\nUser:"], &[&text[..first], &text[first..second], &text[second..]]);
                assert_eq!((shown.concat().as_str(), stopped), ("uno dos", true));
            }
        }
    }

    #[test]
    fn what_only_began_like_a_stop_text_is_shown() {
        let (shown, stopped) = run(&["###"], &[b"a#", b"#b##"]);
        assert_eq!((shown, stopped), (vec!["a".into(), "##b".into(), "##".into()], false));
        assert_eq!(run(&[""], &[b"abc"]), (vec!["abc".into(), String::new()], false));
    }
}

//! GPT-2's spelling of bytes as printable characters, in which vocabularies of byte-level tokens are written.

/// The byte that a character stands for: printable Latin-1 for itself, the characters from U+0100 on for the 68 other bytes.
pub(crate) fn char_byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_covers_each_byte_once() {
        let mut seen = [0; 256];
        for byte in (0..0x200).filter_map(char::from_u32).filter_map(char_byte) {
            seen[usize::from(byte)] += 1;
        }
        assert_eq!(seen, [1; 256]);
        assert_eq!(['Ġ', 'a', 'Ċ'].map(char_byte), [Some(b' '), Some(b'a'), Some(b'\n')]);
    }
}

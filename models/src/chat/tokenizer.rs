//! [`Tokenizer`]: byte-level byte pair encoding, from a GGUF file's metadata.

use crate::byte_level::char_byte;
use crate::gguf::Gguf;
use fancy_regex::Regex;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use tertulia::{Error, ErrorCode, Result};

/// A token's number in the vocabulary.
pub type Token = u32;

/// Turns text into tokens and back.
///
/// Text is cut into pieces (words, numbers, runs of space) by the model family's own pattern; within a piece,
/// bytes merge into the vocabulary's longer tokens, the merge learnt first going first (Sennrich et al. 2016,
/// <https://arxiv.org/abs/1508.07909>; on bytes as in GPT-2).
#[derive(Debug)]
pub struct Tokenizer {
    /// The bytes of each token.
    bytes: Vec<Box<[u8]>>,
    kinds: Vec<Kind>,
    by_bytes: HashMap<Box<[u8]>, Token>,
    /// The token of each single byte, [`ABSENT`] where the vocabulary has none.
    single: Box<[Token; 256]>,
    /// Two neighbours to the rank of their merge and what they become.
    merges: HashMap<(Token, Token), (u32, Token)>,
    patterns: Vec<Regex>,
    /// True if a piece that is a token stays whole, whatever the merges say.
    whole_pieces: bool,
    /// Special tokens' texts, longest first.
    special: Vec<(String, Token)>,
    /// The characters that these texts begin with.
    special_starts: Vec<char>,
    bos: Option<Token>,
    eos: Option<Token>,
    add_bos: bool,
    ends: Vec<Token>,
}

/// Stands for bytes that a vocabulary lacks, some control characters mostly; they are left out.
const ABSENT: Token = Token::MAX;

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bytes of text.
    Text,
    /// A mark of the chat format, which no text may contain.
    Control,
    /// A text added to the vocabulary whole.
    Added,
}

/// Digits one by one; what lies between is cut by a second pattern.
const DIGIT: &str = r"\p{N}";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Texts of tokens that end a reply, in the model families' various formats.
const END_TEXTS: [&str; 7] =
    ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>", "</s>"];

impl Tokenizer {
    /// Reads a vocabulary.
    ///
    /// # Errors
    /// [`ErrorCode::ModelUnsupported`] for tokenizers other than byte-level BPE and for unknown patterns,
    /// [`ErrorCode::ModelCorrupt`] where the vocabulary is not sound.
    pub fn from_gguf(file: &Gguf) -> Result<Self> {
        let model = file.str("tokenizer.ggml.model")?;
        if model != "gpt2" {
            return Err(file.unsupported(format!("unsupported tokenizer: {model}")));
        }
        let (patterns, whole_pieces) = pre_tokenizer(file)?;
        let texts = file.strings("tokenizer.ggml.tokens")?;
        let kinds = match file.value("tokenizer.ggml.token_type") {
            None => vec![Kind::Text; texts.len()],
            Some(_) => file.i64s("tokenizer.ggml.token_type")?.into_iter().map(kind).collect(),
        };
        if kinds.len() != texts.len() {
            return Err(file.corrupt("tokens and token types differ in number"));
        }
        let (bytes, by_bytes) = vocabulary(&texts, &kinds);
        let mut single = Box::new([ABSENT; 256]);
        for byte in 0..=255u8 {
            if let Some(token) = by_bytes.get([byte].as_slice()) {
                single[usize::from(byte)] = *token;
            }
        }
        let merges = merges(file, &by_bytes)?;
        let mut special: Vec<(String, Token)> = (0..)
            .zip(texts.iter().zip(&kinds))
            .filter(|(_, (text, kind))| **kind != Kind::Text && !text.is_empty())
            .map(|(token, (text, _))| ((*text).to_owned(), token))
            .collect();
        special.sort_by_key(|(text, _)| Reverse(text.len()));
        let mut special_starts: Vec<char> = special.iter().filter_map(|(text, _)| text.chars().next()).collect();
        special_starts.sort_unstable();
        special_starts.dedup();
        let named = |key: &str| -> Result<Option<Token>> {
            match file.value(key) {
                None => Ok(None),
                Some(_) => file.u32(key).and_then(|token| {
                    let known = (token as usize) < texts.len();
                    if known { Ok(Some(token)) } else { Err(file.corrupt(format!("{key} is no token"))) }
                }),
            }
        };
        let bos = named("tokenizer.ggml.bos_token_id")?;
        let eos = named("tokenizer.ggml.eos_token_id")?;
        let eot = named("tokenizer.ggml.eot_token_id")?;
        let mut ends: Vec<Token> = eos.into_iter().chain(eot).collect();
        ends.extend(special.iter().filter(|(text, _)| END_TEXTS.contains(&text.as_str())).map(|(_, token)| *token));
        let add_bos = match file.value("tokenizer.ggml.add_bos_token") {
            None => whole_pieces,
            Some(_) => file.bool("tokenizer.ggml.add_bos_token")?,
        };
        let patterns = patterns.iter().map(|pattern| Regex::new(pattern).expect("the patterns are sound")).collect();
        Ok(Self {
            bytes,
            kinds,
            by_bytes,
            single,
            merges,
            patterns,
            whole_pieces,
            special,
            special_starts,
            bos,
            eos,
            add_bos,
            ends,
        })
    }

    /// Tokens in the vocabulary.
    pub fn vocabulary_len(&self) -> usize {
        self.bytes.len()
    }

    /// Turns text into tokens. Whatever looks like a mark of the chat format is text here.
    ///
    /// # Errors
    /// [`ErrorCode::ChatFailed`] where the pattern takes too long on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<Token>> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        for piece in self.pieces(text)? {
            self.encode_piece(piece.as_bytes(), &mut tokens);
        }
        Ok(tokens)
    }

    /// The bytes of a token; none for marks of the chat format.
    pub fn token_bytes(&self, token: Token) -> &[u8] {
        match self.kinds.get(token as usize) {
            None | Some(Kind::Control) => &[],
            Some(_) => &self.bytes[token as usize],
        }
    }

    /// The text of tokens, without marks of the chat format; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|&token| self.token_bytes(token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// True if the token ends a reply.
    pub(super) fn is_end(&self, token: Token) -> bool {
        self.ends.contains(&token) || self.is_control(token)
    }

    /// True if the token is a mark of the chat format.
    pub(super) fn is_control(&self, token: Token) -> bool {
        self.kinds.get(token as usize).is_none_or(|kind| *kind == Kind::Control)
    }

    /// The token that every prompt starts with.
    pub(super) fn prompt_start(&self) -> Option<Token> {
        self.bos.filter(|_| self.add_bos)
    }

    /// The texts that a template calls `bos_token` and `eos_token`.
    pub(super) fn template_tokens(&self) -> (String, String) {
        let text = |token: Option<Token>| {
            let bytes = token.map(|token| self.bytes[token as usize].clone()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (text(self.bos), text(self.eos))
    }

    /// The special token whose text `text` starts with, the longest of them.
    pub(super) fn special_prefix(&self, text: &str) -> Option<(&str, Token)> {
        if !text.starts_with(self.special_starts.as_slice()) {
            return None;
        }
        let found = self.special.iter().find(|(special, _)| text.starts_with(special.as_str()));
        found.map(|(special, token)| (special.as_str(), *token))
    }

    fn pieces<'a>(&self, text: &'a str) -> Result<Vec<&'a str>> {
        let mut pieces = vec![text];
        for pattern in &self.patterns {
            let mut finer = Vec::new();
            for piece in pieces {
                cut(pattern, piece, &mut finer)?;
            }
            pieces = finer;
        }
        Ok(pieces)
    }

    fn encode_piece(&self, piece: &[u8], tokens: &mut Vec<Token>) {
        match self.by_bytes.get(piece) {
            Some(&token) if self.whole_pieces || piece.len() == 1 => tokens.push(token),
            _ => self.merge(piece, tokens),
        }
    }

    /// Merges neighbours, the lowest rank first and the leftmost among equals, until none can merge.
    fn merge(&self, piece: &[u8], tokens: &mut Vec<Token>) {
        /// A token in a list that shrinks from both of its sides.
        #[derive(Clone, Copy)]
        struct Link {
            token: Token,
            previous: usize,
            next: usize,
        }
        /// Stands for no link.
        const NONE: usize = usize::MAX;
        let end = piece.len();
        let mut links: Vec<Link> = (0..end)
            .map(|at| Link {
                token: self.single[usize::from(piece[at])],
                previous: if at == 0 { NONE } else { at - 1 },
                next: if at + 1 == end { NONE } else { at + 1 },
            })
            .collect();
        // The rank, the left link, and the tokens as they were, to tell outdated entries.
        let mut queue = BinaryHeap::new();
        let offer = |queue: &mut BinaryHeap<_>, links: &[Link], left: usize| {
            let right = links[left].next;
            if right != NONE {
                let pair = (links[left].token, links[right].token);
                if let Some(&(rank, whole)) = self.merges.get(&pair) {
                    queue.push(Reverse((rank, left, right, pair, whole)));
                }
            }
        };
        for left in 0..end {
            offer(&mut queue, &links, left);
        }
        let mut gone = vec![false; end];
        while let Some(Reverse((_, left, right, pair, whole))) = queue.pop() {
            let current = !gone[left] && !gone[right] && links[left].next == right;
            if !current || (links[left].token, links[right].token) != pair {
                continue;
            }
            gone[right] = true;
            let after = links[right].next;
            links[left] = Link { token: whole, next: after, ..links[left] };
            if after != NONE {
                links[after].previous = left;
            }
            if links[left].previous != NONE {
                offer(&mut queue, &links, links[left].previous);
            }
            offer(&mut queue, &links, left);
        }
        let left = links.iter().zip(gone).filter(|(_, gone)| !gone).map(|(link, _)| link.token);
        tokens.extend(left.filter(|&token| token != ABSENT));
    }
}

/// The pattern's matches and what lies between them, in order.
fn cut<'a>(pattern: &Regex, text: &'a str, pieces: &mut Vec<&'a str>) -> Result<()> {
    let mut at = 0;
    for found in pattern.find_iter(text) {
        let found = found
            .map_err(|error| Error::new(ErrorCode::ChatFailed, "text cannot be cut into words").with_source(error))?;
        if found.start() > at {
            pieces.push(&text[at..found.start()]);
        }
        if found.end() > found.start() {
            pieces.push(&text[found.range()]);
        }
        at = found.end();
    }
    if at < text.len() {
        pieces.push(&text[at..]);
    }
    Ok(())
}

/// ggml's token types: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
fn kind(type_id: i64) -> Kind {
    match type_id {
        2 | 3 => Kind::Control,
        4 => Kind::Added,
        _ => Kind::Text,
    }
}

/// The bytes of a token.
type Spelling = Box<[u8]>;

/// The patterns of the pre-tokenizer, and true where a piece that is a token as a whole is not merged.
fn pre_tokenizer(file: &Gguf) -> Result<(&'static [&'static str], bool)> {
    let family = file.str("tokenizer.ggml.pre")?;
    Ok(match family {
        "gpt-2" | "gpt2" => (&[GPT2], false),
        "smollm" => (&[DIGIT, GPT2], false),
        "qwen2" => (&[QWEN2], false),
        "llama-bpe" | "llama3" | "llama-v3" => (&[LLAMA3], true),
        _ => return Err(file.unsupported(format!("unsupported pre-tokenizer: {family}"))),
    })
}

/// The rank and the whole of each pair that may be merged.
fn merges(file: &Gguf, by_bytes: &HashMap<Spelling, Token>) -> Result<HashMap<(Token, Token), (u32, Token)>> {
    let mut merges = HashMap::new();
    for (rank, merge) in file.strings("tokenizer.ggml.merges")?.into_iter().enumerate() {
        let (left, right) = merge.split_once(' ').ok_or_else(|| file.corrupt("merge has not two parts"))?;
        let (left, right) = (text_bytes(left), text_bytes(right));
        let token = |bytes: &[u8]| by_bytes.get(bytes).copied();
        // A merge of what is no token can never happen.
        if let (Some(left), Some(right), Some(whole)) =
            (token(&left), token(&right), token(&[left.as_slice(), &right].concat()))
        {
            merges.entry((left, right)).or_insert((rank as u32, whole));
        }
    }
    Ok(merges)
}

/// The bytes of each token, and which tokens text may become.
fn vocabulary(texts: &[&str], kinds: &[Kind]) -> (Vec<Spelling>, HashMap<Spelling, Token>) {
    let mut bytes = Vec::with_capacity(texts.len());
    let mut by_bytes = HashMap::with_capacity(texts.len());
    for ((token, text), kind) in (0..).zip(texts).zip(kinds) {
        let own: Box<[u8]> = if *kind == Kind::Text { text_bytes(text) } else { text.as_bytes().to_vec() }.into();
        if *kind == Kind::Text {
            by_bytes.entry(own.clone()).or_insert(token);
        }
        bytes.push(own);
    }
    (bytes, by_bytes)
}

/// Vocabularies write each byte as a printable character; characters that stand for no byte are their own UTF-8.
fn text_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match char_byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

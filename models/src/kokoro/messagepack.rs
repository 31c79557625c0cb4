//! A reader of MessagePack (msgpack.org), as far as spaCy's models use it.

/// A value.
pub(super) enum Item {
    Nothing,
    Number(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Item>),
    Map(Vec<(Item, Item)>),
}

impl Item {
    /// The value of a map's key, which may be text or bytes.
    pub(super) fn get(&self, key: &str) -> Option<&Item> {
        let Self::Map(entries) = self else { return None };
        let is_key = |item: &Item| match item {
            Self::Text(text) => text == key,
            Self::Bytes(bytes) => bytes == key.as_bytes(),
            _ => false,
        };
        entries.iter().find(|(name, _)| is_key(name)).map(|(_, value)| value)
    }
}

/// Containers in containers, at most.
const DEPTH_MAX: usize = 16;

/// The one value that the bytes begin with; `None` where they are malformed.
pub(super) fn read(bytes: &[u8]) -> Option<Item> {
    Reader { rest: bytes }.item(DEPTH_MAX)
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn item(&mut self, depth: usize) -> Option<Item> {
        let depth = depth.checked_sub(1)?;
        let kind = self.take(1)?[0];
        Some(match kind {
            0x00..=0x7f => Item::Number(kind.into()),
            0x80..=0x8f => self.map(usize::from(kind & 15), depth)?,
            0x90..=0x9f => self.list(usize::from(kind & 15), depth)?,
            0xa0..=0xbf => self.text(usize::from(kind & 31))?,
            0xc4..=0xc6 => {
                let len = self.len(1 << (kind - 0xc4))?;
                Item::Bytes(self.take(len)?.to_vec())
            }
            0xcc..=0xcf => Item::Number(self.number(1 << (kind - 0xcc))?),
            0xd9..=0xdb => {
                let len = self.len(1 << (kind - 0xd9))?;
                self.text(len)?
            }
            0xdc | 0xdd => {
                let len = self.len(2 << (kind - 0xdc))?;
                self.list(len, depth)?
            }
            0xde | 0xdf => {
                let len = self.len(2 << (kind - 0xde))?;
                self.map(len, depth)?
            }
            0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Item::Nothing,
            // Floats and signed numbers, which none of these files needs read.
            0xca | 0xd2 => self.skip(4)?,
            0xcb | 0xd3 => self.skip(8)?,
            0xd0 => self.skip(1)?,
            0xd1 => self.skip(2)?,
            _ => return None,
        })
    }

    fn list(&mut self, len: usize, depth: usize) -> Option<Item> {
        (0..len).map(|_| self.item(depth)).collect::<Option<_>>().map(Item::List)
    }

    fn map(&mut self, len: usize, depth: usize) -> Option<Item> {
        (0..len).map(|_| Some((self.item(depth)?, self.item(depth)?))).collect::<Option<_>>().map(Item::Map)
    }

    fn text(&mut self, len: usize) -> Option<Item> {
        String::from_utf8(self.take(len)?.to_vec()).ok().map(Item::Text)
    }

    fn skip(&mut self, len: usize) -> Option<Item> {
        self.take(len).map(|_| Item::Nothing)
    }

    fn len(&mut self, bytes: usize) -> Option<usize> {
        usize::try_from(self.number(bytes)?).ok()
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}

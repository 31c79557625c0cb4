//! BCP 47 language tags.

use crate::error::{Error, ErrorCode, Result};
use std::fmt;

/// A BCP 47 language tag in canonical case, such as `es`, `es-MX` or `zh-Hant-TW`.
///
/// ```
/// use tertulia::LanguageTag;
/// let tag: LanguageTag = "ES-mx".parse().unwrap();
/// assert_eq!(tag.as_str(), "es-MX");
/// assert_eq!(tag.primary(), "es");
/// assert_eq!("ZH-hANT-tw".parse::<LanguageTag>().unwrap().as_str(), "zh-Hant-TW");
/// assert!("Spanish!".parse::<LanguageTag>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[A-Za-z]{2,3}(-[0-9A-Za-z]{1,8})*$")))]
pub struct LanguageTag(Box<str>);

impl LanguageTag {
    /// The whole tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language alone, without script, region or variants.
    pub fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or(&self.0)
    }

    /// True if both name the same language, whatever their script or region.
    pub fn same_language(&self, other: &LanguageTag) -> bool {
        self.primary() == other.primary()
    }
}

impl std::str::FromStr for LanguageTag {
    type Err = Error;

    /// # Errors
    /// [`ErrorCode::UnknownLanguage`] where the text is not a language tag.
    fn from_str(text: &str) -> Result<Self> {
        let mut canonical = String::with_capacity(text.len());
        for (index, part) in text.split('-').enumerate() {
            let is_alphabetic = part.bytes().all(|b| b.is_ascii_alphabetic());
            let is_subtag = match index {
                0 => is_alphabetic && (2..=3).contains(&part.len()),
                _ => (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()),
            };
            if !is_subtag {
                return Err(Error::new(ErrorCode::UnknownLanguage, "not a BCP 47 language tag"));
            }
            let lower = part.to_ascii_lowercase();
            canonical += &match part.len() {
                _ if index == 0 => lower,
                2 if is_alphabetic => format!("-{}", part.to_ascii_uppercase()),
                4 if is_alphabetic => format!("-{}{}", lower[..1].to_ascii_uppercase(), &lower[1..]),
                _ => format!("-{lower}"),
            };
        }
        Ok(Self(canonical.into()))
    }
}

impl TryFrom<String> for LanguageTag {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<LanguageTag> for String {
    fn from(tag: LanguageTag) -> Self {
        tag.0.into()
    }
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

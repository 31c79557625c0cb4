//! [`Template`]: a conversation to the text and marks that the model was trained on.

use super::tokenizer::{Token, Tokenizer};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use tertulia::backend::Role;
use tertulia::{Error, ErrorCode, Result};

/// ChatML, the template of models without one of their own.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
                      {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/// Breaks up what looks like a mark of the chat format inside a message. Unicode reserves this code point (and the
/// next) for a program's own use; messages that hold it lose it.
const GUARD: char = '\u{fdd0}';
/// Stands around the number of a reply whose tokens are known.
const SPLICE: char = '\u{fdd1}';

/// A model's chat template.
#[derive(Debug)]
pub(super) struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

/// A message as the template sees it.
pub(super) struct PromptMessage<'a> {
    pub(super) role: Role,
    /// Tokens that the content starts with.
    pub(super) tokens: &'a [Token],
    /// The content after those.
    pub(super) text: &'a str,
}

impl Template {
    /// Reads a Jinja template; ChatML where the file has none.
    ///
    /// # Errors
    /// [`ErrorCode::ChatTemplateInvalid`].
    pub(super) fn new(source: Option<&str>, tokenizer: &Tokenizer) -> Result<Self> {
        let mut environment = Environment::new();
        // As in the library that the templates are written for.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(invalid)?;
        environment.set_syntax(syntax);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |what: String| -> Result<(), minijinja::Error> {
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, what))
        });
        environment.add_template_owned("chat", source.unwrap_or(CHATML).to_owned()).map_err(invalid)?;
        let (bos, eos) = tokenizer.template_tokens();
        Ok(Self { environment, bos, eos })
    }

    /// The tokens of a conversation, up to where the next reply begins. Marks of the chat format come from the
    /// template only: in a message they are text.
    ///
    /// # Errors
    /// [`ErrorCode::ChatTemplateInvalid`], [`ErrorCode::ChatFailed`].
    pub(super) fn prompt(&self, messages: &[PromptMessage<'_>], tokenizer: &Tokenizer) -> Result<Vec<Token>> {
        let rendered = self.render(messages, tokenizer)?;
        let mut tokens = Vec::new();
        let mut text = String::new();
        let mut rest = rendered.as_str();
        while let Some(c) = rest.chars().next() {
            if let Some((special, token)) = tokenizer.special_prefix(rest) {
                tokens.extend(tokenizer.encode(&std::mem::take(&mut text))?);
                tokens.push(token);
                rest = &rest[special.len()..];
                continue;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                GUARD => {}
                SPLICE => {
                    tokens.extend(tokenizer.encode(&std::mem::take(&mut text))?);
                    let spliced = rest.split_once(SPLICE).and_then(|(number, after)| {
                        let message = messages.get(number.parse::<usize>().ok()?)?;
                        Some((message.tokens, after))
                    });
                    let (spliced, after) = spliced.ok_or_else(|| {
                        Error::new(ErrorCode::ChatTemplateInvalid, "chat template takes messages apart")
                    })?;
                    tokens.extend(spliced);
                    rest = after;
                }
                _ => text.push(c),
            }
        }
        tokens.extend(tokenizer.encode(&text)?);
        if let Some(start) = tokenizer.prompt_start().filter(|start| tokens.first() != Some(start)) {
            tokens.insert(0, start);
        }
        Ok(tokens)
    }

    fn render(&self, messages: &[PromptMessage<'_>], tokenizer: &Tokenizer) -> Result<String> {
        let messages: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(at, message)| {
                let splice = if message.tokens.is_empty() { String::new() } else { format!("{SPLICE}{at}{SPLICE}") };
                context! { role => name(message.role), content => splice + &guarded(message.text, tokenizer) }
            })
            .collect();
        let template = self.environment.get_template("chat").map_err(invalid)?;
        let context = context! {
            messages,
            add_generation_prompt => true,
            bos_token => &self.bos,
            eos_token => &self.eos,
            tools => (),
            documents => (),
        };
        template.render(context).map_err(invalid)
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        // The one role that the engine reserves.
        _ => "tool",
    }
}

/// The text with a guard inside whatever looks like a mark.
fn guarded(text: &str, tokenizer: &Tokenizer) -> String {
    let mut guarded = String::with_capacity(text.len());
    let text = text.replace([GUARD, SPLICE], "");
    for (at, c) in text.char_indices() {
        guarded.push(c);
        if tokenizer.special_prefix(&text[at..]).is_some() {
            guarded.push(GUARD);
        }
    }
    guarded
}

/// The template's own words may quote a message, so that they stay out of the error.
fn invalid(error: minijinja::Error) -> Error {
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    Error::new(ErrorCode::ChatTemplateInvalid, format!("chat template fails: {}{line}", error.kind()))
}

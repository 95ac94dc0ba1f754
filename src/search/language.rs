//! The query language: text → tree, with the column of whatever is wrong.
//!
//! ```text
//! query  = both { "OR" both }
//! both   = { ["AND"] not }
//! not    = ["NOT"] one
//! one    = "(" query ")" | field ":" one | word ["*"] | '"' phrase '"' ["*"] | comparison | range
//! ```
//!
//! `AND`, `OR` and `NOT` are written in capitals; words beside each other must all match. What holds no field name that we
//! know is a word: addresses, times and URLs need no quotes, only blanks, quotes and parentheses do.

use crate::{
    model::rows::SearchField,
    search::{
        error::SyntaxError,
        fields::TEXTS,
        numbers::{self, NumberField},
        reading::{Sought, reading},
    },
};

/// What a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// In any of the fields.
    Text {
        fields: &'static [SearchField],
        sought: Sought,
    },
    /// At or after `from`, before `to`.
    Range {
        field: NumberField,
        from: Option<i64>,
        to: Option<i64>,
    },
}

/// Nested parentheses and NOTs, beyond which nobody has meant what was typed.
const DEPTH_MAX: usize = 64;

/// Where a word is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Texts(&'static str, &'static [SearchField]),
    Number(NumberField),
}

const EVERYWHERE: Target = Target::Texts("", &ALL_TEXTS);

const ALL_TEXTS: [SearchField; TEXTS.len()] = {
    let mut all = [SearchField::Name; TEXTS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = TEXTS[at].0;
        at += 1;
    }
    all
};

const PARTICIPANT: &[SearchField] =
    &[SearchField::Name, SearchField::Upn, SearchField::ParticipantId, SearchField::Phone];

/// Names of fields in queries.
const NAMES: [(&str, Target); 26] = [
    ("name", Target::Texts("name", &[SearchField::Name])),
    ("participant", Target::Texts("participant", PARTICIPANT)),
    ("organizer", Target::Texts("organizer", &[SearchField::Organizer])),
    ("upn", Target::Texts("upn", &[SearchField::Upn])),
    ("mail", Target::Texts("mail", &[SearchField::Upn])),
    ("phone", Target::Texts("phone", &[SearchField::Phone])),
    ("id", Target::Texts("id", &[SearchField::Id])),
    ("participant_id", Target::Texts("participant_id", &[SearchField::ParticipantId])),
    ("type", Target::Texts("type", &[SearchField::Type])),
    ("modality", Target::Texts("modality", &[SearchField::Modality])),
    ("stage", Target::Texts("stage", &[SearchField::Stage])),
    ("reason", Target::Texts("reason", &[SearchField::Reason])),
    ("agent", Target::Texts("agent", &[SearchField::Agent])),
    ("device", Target::Texts("device", &[SearchField::Device])),
    ("network", Target::Texts("network", &[SearchField::Network])),
    ("ip", Target::Texts("ip", &[SearchField::Network])),
    ("codec", Target::Texts("codec", &[SearchField::Codec])),
    ("conversation", Target::Texts("conversation", &[SearchField::Conversation])),
    ("url", Target::Texts("url", &[SearchField::Conversation])),
    ("detail", Target::Texts("detail", &[SearchField::Detail])),
    ("feedback", Target::Texts("feedback", &[SearchField::Feedback])),
    ("failure", Target::Texts("failure", &[SearchField::Stage, SearchField::Reason])),
    ("start", Target::Number(NumberField::Start)),
    ("end", Target::Number(NumberField::End)),
    ("duration", Target::Number(NumberField::Duration)),
    ("version", Target::Number(NumberField::Version)),
];

pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0 };
    parser.skip_blanks();
    if parser.peek().is_none() {
        return Ok(Node::All);
    }
    let node = parser.either(EVERYWHERE)?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.wrong("this ')' closes nothing")),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn either(&mut self, target: Target) -> Result<Node, SyntaxError> {
        let mut choices = vec![self.both(target)?];
        while self.takes_operator("OR") {
            choices.push(self.both(target)?);
        }
        Ok(single_or(choices, Node::Or))
    }

    fn both(&mut self, target: Target) -> Result<Node, SyntaxError> {
        let mut found: Vec<Operand> = Vec::new();
        loop {
            self.skip_blanks();
            let column = self.column();
            if self.at_end() || self.is_operator("OR") {
                return if found.is_empty() { Err(self.nothing_here()) } else { Ok(all_of(found)) };
            }
            if self.takes_operator("AND") {
                self.skip_blanks();
                if found.is_empty() || self.at_end() || self.is_operator("OR") || self.is_operator("AND") {
                    return Err(SyntaxError::at(column, "AND needs something on both sides"));
                }
            }
            found.push(self.negated(target)?);
        }
    }

    fn negated(&mut self, target: Target) -> Result<Operand, SyntaxError> {
        let mut negative = false;
        let mut any = false;
        while self.takes_operator("NOT") {
            negative = !negative;
            any = true;
            self.skip_blanks();
            if self.at_end() || ["AND", "OR"].iter().any(|operator| self.is_operator(operator)) {
                return Err(self.wrong("NOT needs something to its right"));
            }
        }
        let operand = self.one(target)?;
        Ok(match (any, negative) {
            (false, _) => operand,
            (true, true) => Operand::node(Node::Not(Box::new(operand.node))),
            (true, false) => Operand::node(operand.node),
        })
    }

    fn one(&mut self, target: Target) -> Result<Operand, SyntaxError> {
        match self.peek() {
            Some('(') => self.group(target).map(Operand::node),
            Some('"') => self.phrase(target).map(Operand::node),
            _ => match self.takes_field()? {
                Some(field) => self.value(field),
                None => self.word(target),
            },
        }
    }

    fn group(&mut self, target: Target) -> Result<Node, SyntaxError> {
        let opened = self.column();
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError::at(opened, "too many nested parentheses"));
        }
        let node = self.either(target)?;
        self.depth -= 1;
        if self.peek() != Some(')') {
            return Err(SyntaxError::at(opened, "this '(' is not closed"));
        }
        self.at += 1;
        Ok(node)
    }

    /// Reads `name:` where one stands here.
    fn takes_field(&mut self) -> Result<Option<Target>, SyntaxError> {
        let rest = &self.chars[self.at..];
        let name: String = rest.iter().take_while(|c| c.is_ascii_alphabetic() || **c == '_').collect();
        let colon = rest.get(name.len()) == Some(&':');
        if name.is_empty() || !colon {
            return Ok(None);
        }
        let word: String = rest.iter().take_while(|c| !ends_word(**c)).collect();
        let lower = name.to_ascii_lowercase();
        if let Some((_, target)) = NAMES.iter().find(|(known, _)| *known == lower) {
            self.at += name.len() + 1;
            return Ok(Some(*target));
        }
        if word[name.len()..].starts_with("://") || word.parse::<std::net::IpAddr>().is_ok() || is_mac(&word) {
            return Ok(None);
        }
        let known = NAMES.map(|(name, _)| name).join(", ");
        Err(self.wrong(format!(
            "there is no field '{name}'; the fields are {known}; to look for this text, put it in quotes"
        )))
    }

    /// What follows `name:`.
    fn value(&mut self, target: Target) -> Result<Operand, SyntaxError> {
        match self.peek() {
            Some('(') => self.group(target).map(Operand::node),
            Some('"') => self.phrase(target).map(Operand::node),
            Some('[' | '{') => self.range(target).map(Operand::node),
            None | Some(')') => Err(self.wrong("a value is missing after ':'")),
            Some(c) if c.is_whitespace() => Err(self.wrong("a value must follow ':' without a blank")),
            Some(_) => self.word(target),
        }
    }

    fn word(&mut self, target: Target) -> Result<Operand, SyntaxError> {
        let column = self.column();
        let word = self.takes_while(|c| !ends_word(c));
        if let Target::Number(field) = target {
            return numbers::comparison(field, &word, column).map(Operand::node);
        }
        if word == "*" && target == EVERYWHERE {
            return Ok(Operand::node(Node::All));
        }
        if let Target::Texts(name, _) = target
            && !name.is_empty()
            && word.starts_with(['<', '>'])
        {
            return Err(SyntaxError::at(
                column,
                format!("'{name}' holds text; only start, end, duration and version compare"),
            ));
        }
        let prefix = word.ends_with('*');
        let text = word.strip_suffix('*').unwrap_or(&word).to_owned();
        // Numbers with starred digits stand in the records themselves.
        if text.contains('*') {
            return Err(SyntaxError::at(column, "'*' may only stand at the end of a word"));
        }
        let bare = (target == EVERYWHERE && !prefix).then(|| text.clone());
        Ok(Operand { node: text_node(target, Sought { text, prefix }, column)?, bare })
    }

    fn phrase(&mut self, target: Target) -> Result<Node, SyntaxError> {
        let opened = self.column();
        self.at += 1;
        let text = self.takes_while(|c| c != '"');
        if self.peek().is_none() {
            return Err(SyntaxError::at(opened, "this quote is not closed"));
        }
        self.at += 1;
        let prefix = self.peek() == Some('*');
        self.at += usize::from(prefix);
        match target {
            Target::Number(field) => numbers::comparison(field, &text, opened + 1),
            Target::Texts(..) => text_node(target, Sought { text, prefix }, opened),
        }
    }

    fn range(&mut self, target: Target) -> Result<Node, SyntaxError> {
        let opened = self.column();
        let Target::Number(field) = target else {
            return Err(SyntaxError::at(opened, "ranges are for start, end, duration and version"));
        };
        let from_included = self.peek() == Some('[');
        self.at += 1;
        let inside = self.takes_while(|c| c != ']' && c != '}');
        let to_included = match self.peek() {
            Some(close) => close == ']',
            None => return Err(SyntaxError::at(opened, "this range is not closed by ']' or '}'")),
        };
        self.at += 1;
        numbers::range(field, &inside, from_included, to_included, opened)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some(')'))
    }

    fn skip_blanks(&mut self) {
        self.takes_while(char::is_whitespace);
    }

    fn takes_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let taken: String = self.chars[self.at..].iter().copied().take_while(|c| wanted(*c)).collect();
        self.at += taken.chars().count();
        taken
    }

    fn is_operator(&self, operator: &str) -> bool {
        let rest = &self.chars[self.at..];
        rest.iter().copied().take(operator.len()).eq(operator.chars())
            && rest.get(operator.len()).is_none_or(|c| ends_word(*c))
    }

    fn takes_operator(&mut self, operator: &str) -> bool {
        self.skip_blanks();
        let stands = self.is_operator(operator);
        self.at += if stands { operator.len() } else { 0 };
        stands
    }

    fn column(&self) -> usize {
        self.at + 1
    }

    fn wrong(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::at(self.column(), message)
    }

    fn nothing_here(&self) -> SyntaxError {
        match self.peek() {
            Some(')') => self.wrong("there is nothing before this ')'"),
            Some(_) => self.wrong("OR needs something on both sides"),
            None => self.wrong("something is missing at the end"),
        }
    }
}

/// Something of an AND; `bare` keeps a word without field, quotes and star.
struct Operand {
    node: Node,
    bare: Option<String>,
}

impl Operand {
    fn node(node: Node) -> Self {
        Self { node, bare: None }
    }
}

/// Joins operands; words that together spell a phone number may also be one: `+44 20 7946 0018` needs no quotes.
fn all_of(operands: Vec<Operand>) -> Node {
    let mut nodes = Vec::new();
    let mut operands = operands.into_iter().peekable();
    while let Some(first) = operands.next() {
        let mut spelled = first.bare.filter(|word| word.starts_with(['+', '0']) && is_digits(word));
        let mut words = vec![first.node];
        if let Some(number) = &mut spelled {
            while let Some(next) = operands.next_if(|next| next.bare.as_deref().is_some_and(is_digits)) {
                number.push(' ');
                number.push_str(next.bare.as_deref().unwrap_or_default());
                words.push(next.node);
            }
        }
        let number = spelled
            .filter(|number| words.len() > 1 && number.chars().filter(char::is_ascii_digit).count() >= 7)
            .and_then(|text| text_node(EVERYWHERE, Sought { text, prefix: false }, 0).ok());
        match number {
            Some(number) => nodes.push(Node::Or(vec![number, Node::And(words)])),
            None => nodes.append(&mut words),
        }
    }
    single_or(nodes, Node::And)
}

fn is_digits(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit() || "+-./".contains(c)) && word.contains(|c: char| c.is_ascii_digit())
}

fn is_mac(word: &str) -> bool {
    word.len() == 17 && word.split(':').all(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn single_or(mut nodes: Vec<Node>, many: impl Fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => many(nodes),
    }
}

/// Refuses what no field can hold, since it would silently find nothing.
fn text_node(target: Target, sought: Sought, column: usize) -> Result<Node, SyntaxError> {
    let Target::Texts(name, fields) = target else {
        return Err(SyntaxError::at(column, "this is not a number"));
    };
    if fields.iter().any(|field| reading(*field, &sought).is_some()) {
        return Ok(Node::Text { fields, sought });
    }
    let text = &sought.text;
    Err(SyntaxError::at(
        column,
        match fields {
            [SearchField::Phone] => format!(
                "'{text}' is not a phone number or its last digits (four at least); put a number with blanks in quotes"
            ),
            _ if name.is_empty() => format!("'{text}' has nothing to look for"),
            _ => format!("'{text}' has nothing to look for in '{name}'"),
        },
    ))
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"')
}

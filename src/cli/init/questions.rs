//! Questions to a person: plain lines, the default in brackets, asked again until the answer is good.

use std::io::{self, BufRead, Write};

/// An answer that cannot be used, or none.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) flag: &'static str,
    pub(super) why: String,
}

/// Somebody to ask, or nobody.
pub(super) struct Questions<'a> {
    person: Option<(&'a mut dyn BufRead, &'a mut dyn Write)>,
}

type Read<T> = fn(&str) -> Result<T, String>;

impl<'a> Questions<'a> {
    pub(super) fn to(input: &'a mut dyn BufRead, output: &'a mut dyn Write) -> Self {
        Self { person: Some((input, output)) }
    }

    /// Defaults answer.
    pub(super) fn none() -> Self {
        Self { person: None }
    }

    /// What the flag gave, else the answer, else the default; where that is empty, an answer must be given.
    pub(super) fn ask<T>(
        &mut self,
        flag: &'static str,
        question: &str,
        given: Option<&str>,
        default: &str,
        read: Read<T>,
    ) -> Result<T, Wrong> {
        let wrong = |why| Wrong { flag, why };
        if let Some(given) = given {
            return read(given.trim()).map_err(wrong);
        }
        if self.person.is_none() {
            return read(default).map_err(wrong);
        }
        loop {
            let answer = self.line(question, default).map_err(|error| wrong(error.to_string()))?;
            let answer = if answer.is_empty() { default } else { &answer };
            match read(answer) {
                Ok(answer) => return Ok(answer),
                Err(why) => self.say(&format!("  {why}\n")).map_err(|error| wrong(error.to_string()))?,
            }
        }
    }

    /// The same for what may be left out.
    pub(super) fn optional<T>(
        &mut self,
        flag: &'static str,
        question: &str,
        given: Option<&str>,
        read: Read<T>,
    ) -> Result<Option<T>, Wrong> {
        if given.is_some() || self.person.is_none() {
            return self.given(flag, given, read);
        }
        loop {
            let wrong = |error: io::Error| Wrong { flag, why: error.to_string() };
            let answer = self.line(question, "none").map_err(wrong)?;
            if answer.is_empty() || answer == "none" {
                return Ok(None);
            }
            match read(&answer) {
                Ok(answer) => return Ok(Some(answer)),
                Err(why) => self.say(&format!("  {why}\n")).map_err(wrong)?,
            }
        }
    }

    /// What the flag gave, without a question.
    #[expect(clippy::unused_self, reason = "reads like its siblings where it is called")]
    pub(super) fn given<T>(&self, flag: &'static str, given: Option<&str>, read: Read<T>) -> Result<Option<T>, Wrong> {
        given.map(|given| read(given.trim()).map_err(|why| Wrong { flag, why })).transpose()
    }

    fn line(&mut self, question: &str, default: &str) -> io::Result<String> {
        let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        self.say(&format!("{question}{shown}: "))?;
        let Some((input, _)) = &mut self.person else { return Ok(String::new()) };
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"));
        }
        Ok(line.trim().to_owned())
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let Some((_, output)) = &mut self.person else { return Ok(()) };
        output.write_all(text.as_bytes())?;
        output.flush()
    }
}

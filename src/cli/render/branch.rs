//! Lines that branch: what each says, wrapped to the width of a page, behind the strokes that lead to it.

use std::io::{self, Write};

use crate::cli::render::plain;

/// Columns of a page.
const WIDTH: usize = 100;

/// A point of a tree: its lines, and what hangs below it.
#[derive(Debug, Default)]
pub(super) struct Branch {
    pub(super) lines: Vec<String>,
    pub(super) below: Vec<Branch>,
}

impl Branch {
    pub(super) fn new(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()], below: Vec::new() }
    }

    /// Adds a line `label  first · second · …`, unless there is nothing to say.
    pub(super) fn line(&mut self, label: &str, items: &[String]) {
        if !items.is_empty() {
            self.lines.push(format!("{label}  {}", items.join(" · ")));
        }
    }

    /// Hangs `label  first · second · …` below, unless there is nothing to say.
    pub(super) fn leaf(&mut self, label: &str, items: &[String]) {
        if !items.is_empty() {
            self.below.push(Branch::new(format!("{label}  {}", items.join(" · "))));
        }
    }
}

/// Writes a record's name and, a line each, what its labels say.
pub(super) fn write_head(name: &str, rows: &[(&str, String)], out: &mut dyn Write) -> io::Result<()> {
    write_wrapped(name, "", "  ", out)?;
    for (label, value) in rows {
        write_wrapped(value, &format!("  {label:<12}"), &" ".repeat(14), out)?;
    }
    Ok(())
}

/// Writes a heading with what hangs below it.
pub(super) fn write_section(title: &str, branches: &[Branch], count: usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{title} ({count})")?;
    write(branches, "", out)
}

fn write(branches: &[Branch], before: &str, out: &mut dyn Write) -> io::Result<()> {
    for (n, branch) in branches.iter().enumerate() {
        let is_last = n + 1 == branches.len();
        let (stroke, beside) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let below = format!("{before}{beside}");
        // A stroke down to what hangs below passes beside the lines that go on.
        let wrapped = if branch.below.is_empty() { format!("{below}   ") } else { format!("{below}│  ") };
        for (n, line) in branch.lines.iter().enumerate() {
            let first = if n == 0 { format!("{before}{stroke}") } else { wrapped.clone() };
            write_wrapped(line, &first, &wrapped, out)?;
        }
        write(&branch.below, &below, out)?;
    }
    Ok(())
}

/// Writes `line` in as many lines as it takes; a word that is longer than a line stays whole.
fn write_wrapped(line: &str, first: &str, further: &str, out: &mut dyn Write) -> io::Result<()> {
    let line = plain(line);
    let mut row = first.to_owned();
    let mut used = columns(first);
    let mut has_words = false;
    // Two spaces set a label apart; they stand where no line ends.
    for word in line.split_inclusive(' ') {
        let width = columns(word.trim_end());
        if has_words && used + width > WIDTH {
            writeln!(out, "{}", row.trim_end())?;
            further.clone_into(&mut row);
            used = columns(further);
        }
        row.push_str(word);
        used += columns(word);
        has_words = true;
    }
    writeln!(out, "{}", row.trim_end())
}

/// How many columns a terminal gives to a text: two to each letter of East Asian scripts and each emoji, none to marks.
fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

fn width(char: char) -> usize {
    match char {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_carry_their_strokes_past_what_hangs_below() {
        let mut first = Branch::new("one");
        first.line("more", &["a".into(), "b".into()]);
        first.line("nothing", &[]);
        first.leaf("leaf", &["x".into()]);
        let last = Branch::new("two \u{1b}[1m");
        let mut out = Vec::new();
        write(&[first, last], "", &mut out).unwrap();
        let expected = "├─ one\n│  │  more  a · b\n│  └─ leaf  x\n└─ two \\u{1b}[1m\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn long_lines_are_wrapped_and_long_words_stay_whole() {
        let url = "https://".to_owned() + &"x".repeat(150);
        let mut out = Vec::new();
        write_wrapped(&format!("{}{url} end", "李明 ".repeat(30)), "", "  ", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| columns(line) <= WIDTH || line.trim() == url), "{text}");
        assert_eq!(text.split_whitespace().filter(|word| *word == "李明").count(), 30);
    }
}

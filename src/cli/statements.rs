//! A script for the SQL shell, taken apart: statements, and lines that begin with a dot.

/// Statements without their blanks, and dot commands, in order. A dot begins a command only where no statement is under way.
pub(super) fn pieces(script: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = script.trim_start();
    while !rest.is_empty() {
        let end = if rest.starts_with('.') {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            ended(rest).unwrap_or(rest.len())
        };
        let (piece, after) = rest.split_at(end);
        if !is_blank(piece) {
            pieces.push(piece.trim());
        }
        rest = after.trim_start();
    }
    pieces
}

/// Whether what was typed so far can be run: each statement has its semicolon.
pub(super) fn is_complete(script: &str) -> bool {
    let mut rest = script.trim_start();
    loop {
        if rest.starts_with('.') || is_blank(rest) {
            return true;
        }
        match ended(rest) {
            Some(end) => rest = rest[end..].trim_start(),
            None => return false,
        }
    }
}

/// Whether it asks nothing: blanks, comments, a semicolon alone.
fn is_blank(piece: &str) -> bool {
    let mut at = 0;
    while let Some(c) = piece[at..].chars().next() {
        match skipped(&piece[at..]) {
            Some(length) if is_comment(&piece[at..]) => at += length,
            _ if c.is_whitespace() || c == ';' => at += c.len_utf8(),
            _ => return false,
        }
    }
    true
}

/// Behind the semicolon that ends the first statement; `None` where none does.
fn ended(script: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(c) = script[at..].chars().next() {
        at += skipped(&script[at..]).unwrap_or(c.len_utf8());
        if c == ';' {
            return Some(at);
        }
    }
    None
}

fn is_comment(text: &str) -> bool {
    text.starts_with("--") || text.starts_with("/*")
}

/// How long what begins here is, if no semicolon in it counts: a text, a name in quotes, a comment.
fn skipped(text: &str) -> Option<usize> {
    let until =
        |opened: usize, close: &str| text[opened..].find(close).map_or(text.len(), |at| opened + at + close.len());
    match text.as_bytes() {
        // A doubled quote within ends one and begins the next.
        [b'\'', ..] => Some(until(1, "'")),
        [b'"', ..] => Some(until(1, "\"")),
        [b'`', ..] => Some(until(1, "`")),
        [b'[', ..] => Some(until(1, "]")),
        [b'-', b'-', ..] => Some(until(2, "\n")),
        [b'/', b'*', ..] => Some(until(2, "*/")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn a_script_is_its_statements_and_its_dot_commands() {
        let cases: [(&str, &[&str]); 9] = [
            ("SELECT 1", &["SELECT 1"]),
            ("SELECT 1; SELECT 2;\n", &["SELECT 1;", "SELECT 2;"]),
            (".tables\nSELECT 1;\n.quit", &[".tables", "SELECT 1;", ".quit"]),
            ("SELECT\n.5;", &["SELECT\n.5;"]),
            (
                "SELECT 'a;b', \"c;d\", [e;f], `g;h`;SELECT 'it''s;';",
                &["SELECT 'a;b', \"c;d\", [e;f], `g;h`;", "SELECT 'it''s;';"],
            ),
            ("-- first; of all\nSELECT 1 /* ; */;", &["-- first; of all\nSELECT 1 /* ; */;"]),
            (" ;; \n", &[]),
            ("-- nothing;\n/* at all; */", &[]),
            ("", &[]),
        ];
        for (script, expected) in cases {
            assert_eq!(pieces(script), expected, "{script}");
        }
    }

    #[test]
    fn what_was_typed_runs_once_its_last_statement_has_ended() {
        for complete in ["SELECT 1;", ".help", "", "\n", "SELECT 1; -- done\n", "SELECT ';';"] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["SELECT 1", "SELECT 1; SELECT", "SELECT ';", "SELECT 1 -- ;"] {
            assert!(!is_complete(open), "{open}");
        }
    }

    proptest! {
        #[test]
        fn no_script_loses_a_letter_or_goes_on_for_ever(script in any::<String>()) {
            let pieces = pieces(&script);
            assert!(pieces.iter().all(|piece| script.contains(piece)));
            let _ = is_complete(&script);
        }
    }
}

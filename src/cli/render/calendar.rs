//! A calendar for the terminal: a line a source, a letter a day in UTC. Letters tell everything; colours only help the eye.

use std::io::{self, Write};

use crate::{
    archive::bucket::{State, StateSpan},
    model::time::{Age, Span, Timestamp},
};

const DAY: Age = Age::days(1);
/// Days on a line: eight weeks, so that all of it stands on a terminal of 80 columns.
const LINE_DAYS: i64 = 56;
const NOTHING: char = '.';

/// How a state looks: its letter, its colour, its words in the legend.
fn look(state: State) -> (char, &'static str, &'static str) {
    match state {
        State::Final => ('f', "32", "final"),
        State::Complete => ('c', "32", "complete"),
        State::Settling => ('s', "36", "settling"),
        State::Partial => ('p', "33", "partial"),
        State::Gap => ('g', "33", "gap"),
        State::AtRisk => ('!', "1;31", "at risk"),
        State::Lost => ('X', "1;37;41", "LOST"),
    }
}

/// Writes the days of `days` (floored to whole ones), a line a source, each day with the worst state of its parts.
pub fn calendar(
    sources: &[(&str, Vec<StateSpan>)],
    days: Span,
    in_colour: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let paint = |letter: char, colour: &str| {
        if in_colour { format!("\u{1b}[{colour}m{letter}\u{1b}[0m") } else { letter.to_string() }
    };
    let width = sources.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut from = days.from.floor_to(DAY);
    while from < days.to {
        let line = Span::new(from, days.to.min(from + Age(DAY.0 * LINE_DAYS)));
        writeln!(out, "{:width$}  {}", "", head(line).trim_end())?;
        for (name, states) in sources {
            let letters: String = begins(line)
                .map(|day| worst(states, day))
                .map(|state| state.map_or(NOTHING.to_string(), |state| paint(look(state).0, look(state).1)))
                .collect();
            writeln!(out, "{name:width$}  {letters}")?;
        }
        from = line.to;
    }
    let legend: Vec<String> = State::ALL
        .into_iter()
        .map(look)
        .map(|(letter, colour, words)| format!("{} {words}", paint(letter, colour)))
        .collect();
    writeln!(out, "{}, {NOTHING} nothing", legend.join(", "))
}

fn begins(line: Span) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(Some(line.from), |day| Some(*day + DAY)).take_while(move |day| *day < line.to)
}

/// The worst state of a day's parts.
fn worst(states: &[StateSpan], day: Timestamp) -> Option<State> {
    let day = Span::new(day, day + DAY);
    states.iter().filter(|state| !state.span.intersection(day).is_empty()).map(|state| state.state).max()
}

/// The date above the line's first day and above each Monday that leaves room for it: `10-26` under October 26.
fn head(line: Span) -> String {
    let mut head = String::new();
    for (place, day) in begins(line).enumerate() {
        // 1970-01-01 was a Thursday.
        let is_monday = (day.0 / DAY.0).rem_euclid(7) == 4;
        let is_free = head.len() <= place && (head.is_empty() || head.len() < place);
        if place == 0 || (is_monday && is_free) {
            head += &" ".repeat(place - head.len());
            head += &day.to_seconds_text()[5..10];
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sources: &[(&str, Vec<StateSpan>)], from: &str, to: &str, in_colour: bool) -> String {
        let time = |text: &str| Timestamp::parse_argument(text, Timestamp(0)).unwrap();
        let mut out = Vec::new();
        calendar(sources, Span::new(time(from), time(to)), in_colour, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn span(state: State, from: &str, to: &str) -> StateSpan {
        let time = |text: &str| Timestamp::parse_argument(text, Timestamp(0)).unwrap();
        StateSpan { state, span: Span::new(time(from), time(to)) }
    }

    #[test]
    fn a_month_is_a_line_with_a_letter_a_day() {
        let calls = vec![
            span(State::Lost, "2026-10-27", "2026-10-28"),
            span(State::AtRisk, "2026-10-28", "2026-10-29"),
            span(State::Final, "2026-10-29", "2026-10-30"),
            span(State::Complete, "2026-10-30", "2026-11-14"),
            // An hour is enough: a day is as well as its worst part.
            span(State::Partial, "2026-11-14T05:00:00Z", "2026-11-14T06:00:00Z"),
            span(State::Complete, "2026-11-14T06:00:00Z", "2026-11-21"),
            span(State::Gap, "2026-11-21", "2026-11-22"),
            span(State::Settling, "2026-11-22", "2026-11-24T08:00:00Z"),
        ];
        let found = drawn(&[("calls", calls), ("pstn", vec![])], "2026-10-26", "2026-11-24T08:00:00Z", false);
        let expected = [
            "       10-26  11-02  11-09  11-16  11-23\n",
            "calls  .X!fcccccccccccccccpccccccgsss\n",
            "pstn   ..............................\n",
            "f final, c complete, s settling, p partial, g gap, ! at risk, X LOST, . nothing\n",
        ];
        assert_eq!(found, expected.concat());
    }

    #[test]
    fn months_go_on_in_a_further_line_and_dates_never_run_into_each_other() {
        let found = drawn(&[("calls", vec![])], "2026-08-01", "2026-11-24", false);
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines.len(), 7);
        assert!(lines[0].starts_with("       08-01    08-10  08-17"), "{}", lines[0]);
        let days: usize =
            [1, 3, 5].map(|line: usize| lines[line].trim_start_matches("calls").trim().len()).iter().sum();
        assert_eq!(days, 115);
        assert!(lines.iter().all(|line| line.len() <= 80));
    }

    #[test]
    fn colours_change_no_letter() {
        let calls = vec![span(State::AtRisk, "2026-10-28", "2026-10-29")];
        let [plain, coloured] =
            [false, true].map(|in_colour| drawn(&[("calls", calls.clone())], "2026-10-26", "2026-11-02", in_colour));
        assert!(coloured.contains("\u{1b}[1;31m!\u{1b}[0m") && !plain.contains('\u{1b}'));
        let mut without = String::new();
        for part in coloured.split('\u{1b}') {
            without += part.split_once('m').filter(|_| part.starts_with('[')).map_or(part, |(_, rest)| rest);
        }
        assert_eq!(without, plain);
    }
}

//! Groups of records as a table; on a terminal with a bar each.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::{
    cli::render::plain,
    model::group::{By, Group},
};

/// Where bars are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    pub columns: usize,
    pub has_colours: bool,
}

impl Canvas {
    /// The terminal that stdout is; 80 columns where it does not say.
    #[must_use]
    pub fn of_terminal(has_colours: bool) -> Self {
        let columns = comfy_table::Table::new().width().filter(|columns| *columns > 0).map_or(80, usize::from);
        Self { columns, has_colours }
    }
}

/// Longest name shown, in columns; on a terminal a third of it, if that is less.
const NAME_MAX: usize = 60;
const BAR_MAX: usize = 60;
/// Narrower bars tell nothing.
const BAR_MIN: usize = 8;

/// Writes a line a group. Bars are as long as records are many; the dotted end of one stands for those that failed.
pub fn groups(groups: &[Group], by: By, title: &str, canvas: Option<Canvas>, out: &mut dyn Write) -> io::Result<()> {
    let name_max = canvas.map_or(NAME_MAX, |canvas| NAME_MAX.min(canvas.columns / 3).max(10));
    let rows: Vec<[String; 4]> = groups.iter().map(|group| cells(group, name_max)).collect();
    let header = [title.to_uppercase(), "COUNT".to_owned(), "MINUTES".to_owned(), "FAILURES".to_owned()];
    let width = |column: usize| rows.iter().chain([&header]).map(|row| row[column].width()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let text_columns = 1 + widths.iter().map(|width| width + 2).sum::<usize>();
    let bar = canvas
        .map(|canvas| (canvas, canvas.columns.saturating_sub(text_columns).min(BAR_MAX)))
        .filter(|(_, columns)| *columns >= BAR_MIN);
    let most = groups.iter().map(|group| group.sum.records).max().unwrap_or(0);
    writeln!(out, "{}", line(&header, widths).trim_end())?;
    let mut before = None;
    for (row, group) in rows.iter().zip(groups) {
        if canvas.is_some()
            && let Some(gap) = gap(by, before.replace(group), group)
        {
            writeln!(out, "{gap}")?;
        }
        let drawn = bar.map(|(canvas, columns)| drawn(group, most, columns, canvas.has_colours)).unwrap_or_default();
        writeln!(out, "{}", format!("{}  {drawn}", line(row, widths)).trim_end())?;
    }
    Ok(())
}

fn cells(group: &Group, name_max: usize) -> [String; 4] {
    let name = group.name.as_deref().map_or("(none)".into(), plain);
    let sum = &group.sum;
    [cut(&name, name_max), sum.records.to_string(), format!("{:.0}", sum.minutes()), sum.failures.to_string()]
}

fn line(cells: &[String; 4], widths: [usize; 4]) -> String {
    let [name, figures @ ..] = cells;
    let mut line = format!(" {name}{}", " ".repeat(widths[0].saturating_sub(name.width())));
    for (figure, width) in figures.iter().zip(&widths[1..]) {
        line.push_str(&format!("  {figure:>width$}"));
    }
    line
}

/// The text in at most so many columns.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    for char in text.chars() {
        out.push(char);
        if out.width() >= columns {
            out.pop();
            break;
        }
    }
    out + "…"
}

/// Days and the like without a record are no groups; a drawing that left them out unsaid would deceive the eye.
fn gap(by: By, before: Option<&Group>, group: &Group) -> Option<String> {
    let before = before.filter(|before| by.is_time() && before.name.is_some() && group.name.is_some())?;
    let n_empty = before.place.abs_diff(group.place).saturating_sub(1);
    let stretch = match by {
        By::Month => "month",
        By::Week => "week",
        By::Day => "day",
        _ => "hour",
    };
    let plural = if n_empty == 1 { "" } else { "s" };
    (n_empty > 0).then(|| format!(" ⋯ {n_empty} {stretch}{plural} without"))
}

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

fn drawn(group: &Group, most: u64, columns: usize, has_colours: bool) -> String {
    let share = |n: u64| {
        let eighths = u128::from(n) * 8 * columns as u128 / u128::from(most.max(1));
        usize::try_from(eighths).unwrap_or(0)
    };
    let failures = group.sum.failures.min(group.sum.records);
    // Whatever there is shows, be it ever so little.
    let all = share(group.sum.records).max(usize::from(group.sum.records > 0));
    let failed = share(failures).div_ceil(8).min(all.div_ceil(8));
    let well = if failed > 0 { (all.div_ceil(8) - failed) * 8 } else { all };
    let (failed, well) = ("▒".repeat(failed), "█".repeat(well / 8) + EIGHTHS[well % 8]);
    if has_colours && !failed.is_empty() { format!("{well}\u{1b}[31m{failed}\u{1b}[0m") } else { well + &failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{group::Sum, time::Timestamp};

    fn day(date: &str, records: u64, failures: u64) -> Group {
        let place = By::Day.bucket(Timestamp::parse(&format!("{date}T08:00:00Z")).unwrap());
        let sum = Sum { records, duration_ns: i128::from(records) * 90_000_000_000, failures };
        Group { name: Some(date.to_owned()), person: None, place, sum }
    }

    fn written(list: &[Group], canvas: Option<Canvas>) -> String {
        let mut out = Vec::new();
        groups(list, By::Day, "day", canvas, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_terminal_gets_bars_and_a_pipe_does_not() {
        let days = [day("2026-11-24", 40, 10), day("2026-11-23", 15, 0), day("2026-11-20", 1, 1)];
        let canvas = Canvas { columns: 52, has_colours: false };
        assert_eq!(
            written(&days, Some(canvas)),
            " DAY         COUNT  MINUTES  FAILURES
 2026-11-24     40       60        10  █████████▒▒▒▒
 2026-11-23     15       22         0  ████▉
 ⋯ 2 days without
 2026-11-20      1        2         1  ▒
"
        );
        assert_eq!(
            written(&days, None),
            " DAY         COUNT  MINUTES  FAILURES
 2026-11-24     40       60        10
 2026-11-23     15       22         0
 2026-11-20      1        2         1
"
        );
        let narrow = Canvas { columns: 40, has_colours: true };
        assert!(!written(&days, Some(narrow)).contains('█'), "there is no room");
        let wide = written(&days, Some(Canvas { columns: 300, has_colours: true }));
        assert!(wide.lines().all(|line| line.width() < 120) && wide.contains("\u{1b}[31m"), "{wide}");
    }

    #[test]
    fn names_are_cut_by_what_they_take_on_the_screen() {
        assert_eq!(cut("王小明王小明", 7), "王小明…");
        assert_eq!(cut("Zofia", 5), "Zofia");
        let evil = Group { name: Some("\u{1b}[2J".into()), ..day("2026-11-24", 1, 0) };
        let nobody = Group { name: None, ..evil.clone() };
        let text = written(&[evil, nobody], None);
        assert!(!text.contains('\u{1b}') && text.contains("(none)"), "{text}");
    }
}

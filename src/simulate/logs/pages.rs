//! What stands on a page of a log, and where the search for the next page begins.

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        logs::{DAY_NS, LogRow, Window},
    },
};

/// For how long of simulated time the place of a page is taken for good: rows show up and expire meanwhile.
const FRESH: Age = Age::minutes(1);

/// Where the last page of a window ended: a page in the middle of a large window is found without the days before it.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Bookmark {
    /// Since 1970.
    day: i64,
    /// Rows of the window before that day.
    before: usize,
    /// When the link to the next page was given out.
    pub(super) made: Timestamp,
}

impl Bookmark {
    /// For a report, which is made anew from the beginning of its window for each page.
    pub(super) fn at_start(now: Timestamp) -> Self {
        Self { day: i64::MIN, before: 0, made: now }
    }
}

/// The rows of a page.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) shown: Vec<LogRow>,
    pub(super) has_more: bool,
    pub(super) bookmark: Bookmark,
}

/// The `size` rows of a window behind the first `skip`, as Graph has them at `now`.
pub(super) fn rows(
    world: &World,
    window: Window,
    skip: usize,
    size: usize,
    now: Timestamp,
    known: Option<Bookmark>,
) -> Rows {
    let retention = world.telephony.retention.of(window.log);
    let start = Bookmark { day: window.from.0.div_euclid(DAY_NS), before: 0, made: now };
    let known = known.filter(|mark| (1..=skip).contains(&mark.before) && now - mark.made < FRESH);
    let Bookmark { mut day, mut before, .. } = known.unwrap_or(start);
    let mut rows = Vec::new();
    while day <= window.to.0.div_euclid(DAY_NS) {
        let of_day = world.rows_of_day(window.log, day);
        let seen = of_day
            .iter()
            .filter_map(|row| row.seen(now, retention).filter(|row| window.holds(row.start)))
            .collect::<Vec<_>>();
        for row in seen.iter().skip(skip.saturating_sub(before)) {
            if rows.len() == size {
                return Rows { shown: rows, has_more: true, bookmark: Bookmark { day, before, made: now } };
            }
            rows.push((*row).clone());
        }
        before += seen.len();
        day += 1;
    }
    Rows { shown: rows, has_more: false, bookmark: Bookmark { day, before, made: now } }
}

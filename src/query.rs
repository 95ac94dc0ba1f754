//! One question, one answer: what the text means comes from the search index, everything else from the archive.

use std::{collections::HashMap, ops::ControlFlow};

use crate::{
    archive::{self, Archive, select},
    follow,
    model::{
        filter::{Selection, Sort},
        hit::Hit,
        id::Seq,
    },
    search::{self, Index, Match, Matches, Order, Query, State, SyntaxError, Within},
};

/// Versions that the index has not reached and that are still indexed in memory for one query: about a second's work.
const TAIL_MAX: usize = 5_000;
/// Matches looked up at a time: few at first, so that a short answer is quick.
const LOOK_UPS: [usize; 2] = [64, 512];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error("the query is not understood, {0}")]
    Syntax(#[from] SyntaxError),
    #[error(transparent)]
    Follow(#[from] follow::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

/// How far an answer can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Versions that no text was looked for in: the index is being made.
    pub versions_not_searched: u64,
    /// Records without rows: they are being made, and no filter finds them.
    pub records_without_rows: u64,
}

impl Reach {
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Self::default()
    }
}

/// Runs over the records that `selection` means, in its order, until its limit or until told to stop.
pub fn for_each(archive: &Archive, selection: &Selection, on: &mut dyn FnMut(Hit) -> ControlFlow<()>) -> Result<Reach> {
    archive.at_one_moment(|| {
        let Some(text) = &selection.text else {
            archive.for_each(&selection.filter, selection.sort, selection.limit, on)?;
            return reach(archive, 0);
        };
        let query = Query::parse(text)?;
        let sought = Sought::open(archive)?;
        let matches = sought.matches(&query, selection);
        look_up(archive, selection, matches, on)?;
        reach(archive, sought.not_searched)
    })
}

/// Runs over the newest versions that a selection without text means, by their ledger numbers alone: nothing of the records is read.
pub fn for_each_seq(
    archive: &Archive,
    selection: &Selection,
    on: &mut dyn FnMut(Seq) -> ControlFlow<()>,
) -> Result<Reach> {
    archive.at_one_moment(|| {
        archive.for_each_seq(&selection.filter, selection.sort, selection.limit, on)?;
        reach(archive, 0)
    })
}

/// How many records `selection` means, its limit aside.
pub fn count(archive: &Archive, selection: &Selection) -> Result<(u64, Reach)> {
    archive.at_one_moment(|| {
        let Some(text) = &selection.text else {
            return Ok((archive.count(&selection.filter)?, reach(archive, 0)?));
        };
        let query = Query::parse(text)?;
        let wanted = archive.wanted(&selection.filter)?;
        let sought = Sought::open(archive)?;
        let mut count = 0;
        let mut seqs = Vec::with_capacity(select::SEQS_MAX);
        for found in sought.matches(&query, selection) {
            seqs.push(found?.seq);
            if seqs.len() == select::SEQS_MAX {
                count += archive.count_among(&wanted, &seqs)?;
                seqs.clear();
            }
        }
        count += archive.count_among(&wanted, &seqs)?;
        Ok((count, reach(archive, sought.not_searched)?))
    })
}

fn reach(archive: &Archive, versions_not_searched: u64) -> Result<Reach> {
    Ok(Reach { versions_not_searched, records_without_rows: archive.underived()? })
}

/// The index on disk, and in memory what it has not reached.
struct Sought {
    disk: Option<Index>,
    tail: Option<Index>,
    not_searched: u64,
}

impl Sought {
    fn open(archive: &Archive) -> Result<Self> {
        let disk = match Index::open(&archive.folder().index())? {
            State::Ready(index) => Some(index),
            State::Missing | State::OtherSchema => None,
            State::Damaged(why) => {
                tracing::warn!(why, "the search index is damaged; the next sync or reindex makes it anew");
                None
            }
        };
        let position = disk.as_ref().map_or(Seq(0), Index::position);
        match follow::tail(archive, position, TAIL_MAX)? {
            Some(entries) if entries.is_empty() => Ok(Self { disk, tail: None, not_searched: 0 }),
            Some(entries) => Ok(Self { disk, tail: Some(Index::in_memory(entries)?), not_searched: 0 }),
            None => Ok(Self { disk, tail: None, not_searched: archive.versions_after(position)? }),
        }
    }

    fn matches<'a>(&'a self, query: &'a Query, selection: &Selection) -> Matches<'a> {
        let order = match selection.sort {
            Sort::Newest => Order::Newest,
            Sort::Oldest => Order::Oldest,
            Sort::Longest => Order::Longest,
            Sort::Relevance => Order::Relevance,
        };
        let within = Within { from: selection.filter.from, to: selection.filter.to };
        Matches::new(self.disk.as_ref(), self.tail.as_ref(), query, order, within)
    }
}

/// Looks matches up in the archive, which drops those that its filters or a newer version rule out, and keeps their order.
fn look_up(
    archive: &Archive,
    selection: &Selection,
    mut matches: Matches<'_>,
    on: &mut dyn FnMut(Hit) -> ControlFlow<()>,
) -> Result<()> {
    let wanted = archive.wanted(&selection.filter)?;
    let mut left = selection.limit.unwrap_or(usize::MAX);
    let mut sizes = LOOK_UPS.iter().copied().chain(std::iter::repeat(LOOK_UPS[1]));
    while left > 0 {
        let size = sizes.next().unwrap_or(LOOK_UPS[1]);
        let seqs: Vec<Seq> = matches
            .by_ref()
            .take(size)
            .map(|found| found.map(|found: Match| found.seq))
            .collect::<search::Result<_>>()?;
        if seqs.is_empty() {
            break;
        }
        let mut hits: HashMap<Seq, Hit> =
            archive.among(&wanted, &seqs)?.into_iter().map(|hit| (hit.seq, hit)).collect();
        for hit in seqs.iter().filter_map(|seq| hits.remove(seq)) {
            if on(hit).is_break() {
                return Ok(());
            }
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}

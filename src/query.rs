//! One question, one answer: what the text means comes from the search index, everything else from the archive.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    ops::ControlFlow,
    rc::Rc,
};

use crate::{
    archive::{
        self, Archive,
        select::{self, Wanted},
    },
    follow,
    model::{
        filter::{Selection, Sort},
        group::{By, Group},
        hit::Hit,
        id::{RecordId, RecordKey, Seq},
        place::Place,
    },
    search::{self, Behind, Index, Match, Matches, Order, Query, State, SyntaxError, Within},
};

/// Records whose texts are in memory at a time.
const READ_AT_ONCE: usize = 2000;
/// Versions that the index has not reached and that are still indexed in memory for one query: about a second's work.
const TAIL_MAX: usize = 5_000;
/// Matches looked up at first, where as many are asked for: few, so that a short answer is quick.
const FIRST_LOOK_UPS: usize = 64;
/// Matches looked up at a time after that.
const LOOK_UPS: usize = 512;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Archive(#[from] archive::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error("the query is not understood, {error}")]
    Syntax { text: String, error: SyntaxError },
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

/// What came of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub reach: Reach,
    /// Records on it.
    pub n_hits: usize,
    /// Whether records come after it.
    pub has_more: bool,
    /// Where they begin, in an order that has places.
    pub next: Option<Place>,
}

/// A part of what is meant: all that is wanted, or of it the versions that a text matches.
type Part<'a> = (&'a Wanted, Option<&'a [(RecordId, Seq)]>);

/// Answers question after question about one archive. The search index stays open from one to the next, for as long as it is the
/// one that lies in its folder: opening it takes as long as most questions do.
pub struct Reader<'a> {
    archive: &'a Archive,
    index: RefCell<Option<Rc<Index>>>,
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(archive: &'a Archive) -> Self {
        Self { archive, index: RefCell::default() }
    }

    /// Runs over the records that `selection` means, in its order, until its limit or until told to stop.
    pub fn for_each(&self, selection: &Selection, on: &mut dyn FnMut(Hit) -> ControlFlow<()>) -> Result<Reach> {
        let archive = self.archive;
        archive.at_one_moment(|| {
            let Some(text) = &selection.text else {
                archive.for_each(selection, on)?;
                return reach(archive, 0);
            };
            let query = parse(text)?;
            let sought = self.sought()?;
            let matches = sought.matches(&query, selection);
            look_up(archive, selection, matches, on)?;
            reach(archive, sought.not_searched)
        })
    }

    /// Runs over the newest versions that a selection without text means, by their ledger numbers alone: nothing of the records is read.
    pub fn for_each_seq(&self, selection: &Selection, on: &mut dyn FnMut(Seq) -> ControlFlow<()>) -> Result<Reach> {
        self.archive.at_one_moment(|| {
            self.archive.for_each_seq(selection, on)?;
            reach(self.archive, 0)
        })
    }

    /// Runs over a page: at most the limit's records after the selection's place. The last, where more follow it, says where.
    pub fn page(&self, selection: &Selection, on: &mut dyn FnMut(Hit) -> ControlFlow<()>) -> Result<Page> {
        // One record more than the page has tells whether it is the last.
        let ahead = Selection { limit: selection.limit.map(|limit| limit.saturating_add(1)), ..selection.clone() };
        let mut page = Page::default();
        let mut held: Option<Hit> = None;
        let mut is_stopped = false;
        let mut hand_over = |hit, page: &mut Page| {
            page.n_hits += 1;
            is_stopped = on(hit).is_break();
            if is_stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        page.reach = self.for_each(&ahead, &mut |hit| {
            let Some(mut before) = held.replace(hit) else { return ControlFlow::Continue(()) };
            if Some(page.n_hits + 1) == selection.limit {
                held = None;
                page.has_more = true;
                page.next = Place::after(&before, selection.sort);
                before.next = page.next;
            }
            hand_over(before, &mut page)
        })?;
        if let Some(last) = held.filter(|_| !is_stopped) {
            let _ = on(last);
            page.n_hits += 1;
        }
        Ok(page)
    }

    /// How many records `selection` means, its limit and place aside.
    pub fn count(&self, selection: &Selection) -> Result<(u64, Reach)> {
        let mut count = 0;
        let reach = self.each_part(selection, &mut |(wanted, found)| {
            count += self.archive.count(wanted, found)?;
            Ok(())
        })?;
        Ok((count, reach))
    }

    /// Counts, minutes and failures of the records that `selection` means, its limit, order and place aside.
    pub fn groups(&self, selection: &Selection, by: By) -> Result<(Vec<Group>, Reach)> {
        let mut groups = self.archive.groups(by);
        let reach = self.each_part(selection, &mut |(wanted, found)| Ok(groups.add(wanted, found)?))?;
        Ok((groups.finish(), reach))
    }

    /// Hands over what is meant, in no order: without a text all at once, with one in lists of what it matches.
    fn each_part(&self, selection: &Selection, on: &mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<Reach> {
        let archive = self.archive;
        archive.at_one_moment(|| {
            let wanted = archive.wanted(&selection.filter)?;
            let Some(text) = &selection.text else {
                on((&wanted, None))?;
                return reach(archive, 0);
            };
            let query = parse(text)?;
            let sought = self.sought()?;
            let mut found = Vec::with_capacity(select::FOUND_MAX);
            let mut outcome = Ok(());
            search::each(
                sought.disk.as_deref(),
                sought.tail.as_ref(),
                &query,
                within(selection),
                &mut |record_id, seq| {
                    found.push((record_id, seq));
                    if found.len() == select::FOUND_MAX {
                        outcome = on((&wanted, Some(&found)));
                        found.clear();
                    }
                    if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                },
            )?;
            outcome?;
            on((&wanted, Some(&found)))?;
            reach(archive, sought.not_searched)
        })
    }

    fn sought(&self) -> Result<Sought> {
        let archive = self.archive;
        let disk = self.index()?;
        let position = disk.as_ref().map_or(Seq(0), |index| index.position());
        match follow::tail(archive, position, TAIL_MAX)? {
            Some(entries) if entries.is_empty() => Ok(Sought { disk, tail: None, not_searched: 0 }),
            Some(entries) => Ok(Sought { disk, tail: Some(Index::in_memory(entries)?), not_searched: 0 }),
            None => Ok(Sought { disk, tail: None, not_searched: archive.versions_after(position)? }),
        }
    }

    /// The index on disk as it is now.
    fn index(&self) -> Result<Option<Rc<Index>>> {
        let dir = self.archive.folder().index();
        let mut kept = self.index.borrow_mut();
        if !kept.as_ref().is_some_and(|index| index.is_current(&dir)) {
            *kept = match Index::open(&dir)? {
                State::Ready(index) => Some(Rc::new(index)),
                State::Missing | State::OtherSchema => None,
                State::Damaged(why) => {
                    tracing::warn!(why, "the search index is damaged; the next sync or reindex makes it anew");
                    None
                }
            };
        }
        Ok(kept.clone())
    }
}

/// Which of `records` a text matches, read from the records themselves and not from the index on disk.
pub fn matching(archive: &Archive, text: &str, records: &[RecordId]) -> Result<HashSet<RecordId>> {
    let query = parse(text)?;
    let mut seqs = Vec::with_capacity(records.len());
    for record in records {
        seqs.extend(archive.record(*record)?.and_then(|(_, newest)| newest));
    }
    let mut matching = HashSet::new();
    for chunk in seqs.chunks(READ_AT_ONCE) {
        let index = Index::in_memory(follow::entries(archive, chunk)?)?;
        search::each(None, Some(&index), &query, Within::default(), &mut |record, _| {
            matching.insert(record);
            ControlFlow::Continue(())
        })?;
    }
    Ok(matching)
}

/// The records that `selection` means by a version before their newest alone, by their numbers. Costs a look at every such version.
pub fn by_older_alone(archive: &Archive, selection: &Selection) -> Result<Vec<RecordKey>> {
    let mut found = BTreeMap::new();
    for round in archive.older_versions(None)? {
        let past = archive.with_newest(&round)?;
        for (record_id, key) in meant(&past, selection, &round.iter().map(|(id, _)| *id).collect::<Vec<_>>())? {
            found.insert(record_id, key);
        }
    }
    let records: Vec<RecordId> = found.keys().copied().collect();
    for (record_id, _) in meant(archive, selection, &records)? {
        found.remove(&record_id);
    }
    Ok(found.into_values().collect())
}

/// Of `records`, those that a selection means in their newest version.
fn meant(archive: &Archive, selection: &Selection, records: &[RecordId]) -> Result<Vec<(RecordId, RecordKey)>> {
    let (text, filter) = (selection.text.as_ref(), selection.filter.clone());
    let mut matches: HashSet<RecordId> = records.iter().copied().collect();
    if let Some(text) = text.filter(|_| !records.is_empty()) {
        matches = matching(archive, text, records)?;
    }
    let mut meant = Vec::new();
    if !matches.is_empty() {
        archive.for_each(&Selection { filter, ..Selection::default() }, &mut |hit| {
            if matches.contains(&hit.record_id) {
                meant.push((hit.record_id, RecordKey { kind: hit.kind, id: hit.id }));
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(meant)
}

fn parse(text: &str) -> Result<Query> {
    Query::parse(text).map_err(|error| Error::Syntax { text: text.to_owned(), error })
}

fn within(selection: &Selection) -> Within {
    Within { from: selection.filter.from, to: selection.filter.to }
}

fn reach(archive: &Archive, versions_not_searched: u64) -> Result<Reach> {
    Ok(Reach { versions_not_searched, records_without_rows: archive.underived()? })
}

/// The index on disk, and in memory what it has not reached.
struct Sought {
    disk: Option<Rc<Index>>,
    tail: Option<Index>,
    not_searched: u64,
}

impl Sought {
    fn matches<'a>(&'a self, query: &'a Query, selection: &Selection) -> Matches<'a> {
        let order = match selection.sort {
            Sort::Newest => Order::Newest,
            Sort::Oldest => Order::Oldest,
            Sort::Longest => Order::Longest,
            Sort::Relevance => Order::Relevance,
        };
        let behind = selection.after.map(|place| Behind { key_ns: place.key_ns, record_id: place.record_id });
        Matches::new(self.disk.as_deref(), self.tail.as_ref(), query, order, within(selection), behind)
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
    let mut size = FIRST_LOOK_UPS.min(left);
    while left > 0 {
        let found: Vec<(RecordId, Seq)> = matches
            .by_ref()
            .take(size)
            .map(|found| found.map(|found: Match| (found.record_id, found.seq)))
            .collect::<search::Result<_>>()?;
        if found.is_empty() {
            break;
        }
        size = LOOK_UPS;
        let mut hits: HashMap<Seq, Hit> =
            archive.among(&wanted, &found)?.into_iter().map(|hit| (hit.seq, hit)).collect();
        for hit in found.iter().filter_map(|(_, seq)| hits.remove(seq)) {
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

#[cfg(test)]
mod tests;

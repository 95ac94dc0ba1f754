//! Pages and groups, over archives of calls made at random: part of them in the index on disk, part not yet.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use tempfile::TempDir;

use super::*;
use crate::{
    archive::{ArchiveWriter, Folder, batch::Prepared, frame::FrameWriter},
    model::{
        document::{Document, Part, What},
        filter::Filter,
        group::Sum,
        id::{RecordKey, Version},
        time::{Age, Timestamp},
    },
};

/// What a call is made of.
#[derive(Clone, Debug)]
struct Made {
    /// Hours since the first of November; many start together, some nobody knows when.
    start_h: Option<i64>,
    minutes: Option<i64>,
    people: Vec<u8>,
    modalities: Vec<&'static str>,
    reason: Option<&'static str>,
}

fn made() -> impl Strategy<Value = Made> {
    let people = prop::collection::vec(0..6u8, 0..4);
    let modalities = prop::sample::subsequence(vec!["audio", "video", "screenSharing"], 0..=3);
    let reason = prop::option::weighted(0.3, prop::sample::select(vec!["Timed out", "Lost"]));
    (prop::option::weighted(0.9, 0..60i64), prop::option::weighted(0.9, 0..5i64), people, modalities, reason).prop_map(
        |(start_h, minutes, people, modalities, reason)| Made { start_h, minutes, people, modalities, reason },
    )
}

/// Somebody of an odd number bears another name in each call, which is one person still.
fn person(n: u8, call: usize) -> String {
    let name = if n.is_multiple_of(2) { format!("Person {n}") } else { format!("Person {n} of {call}") };
    format!(
        r#"{{"id":"0a1b2c3d-0000-4000-8000-00000000000{n}","identity":{{"user":{{"id":"0a1b2c3d-0000-4000-8000-00000000000{n}","displayName":"{name}"}}}}}}"#
    )
}

fn begin() -> Timestamp {
    Timestamp::parse("2026-11-01T00:00:00Z").unwrap()
}

impl Made {
    fn body(&self, call: usize, version: i64) -> String {
        let start = self.start_h.map(|hours| begin() + Age::hours(hours));
        let end = self.minutes.map(|minutes| start.unwrap_or(begin()) + Age::minutes(minutes));
        let time = |time: Option<Timestamp>| time.map_or("null".to_owned(), |time| format!("\"{time}\""));
        let people: Vec<String> = self.people.iter().map(|n| person(*n, call)).collect();
        let failure =
            self.reason.map_or("null".to_owned(), |reason| format!(r#"{{"stage":"midcall","reason":"{reason}"}}"#));
        format!(
            r#"{{"id":"c{call}","version":{version},"type":"groupCall","modalities":{:?},"startDateTime":{},"endDateTime":{},
               "participants_v2":[{}],"sessions":[{{"id":"s","failureInfo":{failure},"segments":[{{"id":"s","failureInfo":{failure},"media":[]}}]}}]}}"#,
            self.modalities,
            time(start),
            time(end),
            people.join(",")
        )
    }
}

struct Bench {
    _dir: TempDir,
    folder: Folder,
    writer: ArchiveWriter,
    frames: FrameWriter,
    n_calls: usize,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("archive"));
        let writer = ArchiveWriter::open_or_create(&folder, Timestamp(0)).unwrap();
        Self { _dir: dir, folder, writer, frames: FrameWriter::new(None).unwrap(), n_calls: 0 }
    }

    fn keep(&mut self, calls: &[Made]) {
        let prepared: Vec<Prepared> =
            calls.iter().enumerate().map(|(n, made)| self.prepared(made, self.n_calls + n, 1)).collect();
        self.writer.keep(&prepared).unwrap();
        self.n_calls += calls.len();
    }

    fn prepared(&mut self, made: &Made, call: usize, version: i64) -> Prepared {
        let body = made.body(call, version).into();
        let part = Part::new(What::Record, "https://graph/c".into(), None, Timestamp(0), body);
        let document =
            Document { key: RecordKey::call(format!("c{call}")), version: Version(version), parts: vec![part] };
        Prepared::new(&document, &mut self.frames).unwrap()
    }

    fn archive(&self) -> Archive {
        Archive::open(&self.folder).unwrap()
    }
}

/// Calls of which the first are in the index on disk.
fn bench(calls: &[Made], n_indexed: usize) -> Bench {
    let mut bench = Bench::new();
    bench.keep(&calls[..n_indexed]);
    follow::catch_up(&bench.archive()).unwrap();
    bench.keep(&calls[n_indexed..]);
    bench
}

fn one_page(archive: &Archive, selection: &Selection) -> (Vec<Hit>, Page) {
    let mut hits = Vec::new();
    let page = Reader::new(archive).page(selection, &mut |hit| {
        hits.push(hit);
        ControlFlow::Continue(())
    });
    let page = page.unwrap();
    assert_eq!(page.n_hits, hits.len());
    assert!(hits.iter().rev().skip(1).all(|hit| hit.next.is_none()));
    assert_eq!(hits.last().and_then(|hit| hit.next), page.next);
    assert_eq!(page.has_more, page.next.is_some());
    (hits, page)
}

fn ids(hits: &[Hit]) -> Vec<String> {
    hits.iter().map(|hit| hit.id.clone()).collect()
}

const SORTS: [Sort; 3] = [Sort::Newest, Sort::Oldest, Sort::Longest];

fn selections(sort: Sort) -> Vec<Selection> {
    let whole = Selection { sort, ..Selection::default() };
    let person = Filter { participants: vec!["Person 2".into()], ..Filter::default() };
    let span = Filter { from: Some(begin() + Age::hours(5)), to: Some(begin() + Age::hours(40)), ..Filter::default() };
    let long = Filter { min_duration: Some(Age::minutes(2)), ..Filter::default() };
    let text = |text: &str| Some(text.to_owned());
    vec![
        whole.clone(),
        Selection { filter: person.clone(), ..whole.clone() },
        Selection { filter: span.clone(), ..whole.clone() },
        Selection { filter: long, ..whole.clone() },
        Selection { text: text("*"), ..whole.clone() },
        Selection { text: text("person OR modality:audio"), filter: span, ..whole.clone() },
        Selection { text: text("modality:video"), filter: person, ..whole },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn pages_of_any_size_are_the_whole_answer_cut_in_pieces(
        calls in prop::collection::vec(made(), 0..30),
        indexed in any::<prop::sample::Index>(),
        size in 3..9usize,
        sort in prop::sample::select(SORTS.to_vec()),
    ) {
        let bench = bench(&calls, indexed.index(calls.len() + 1));
        let archive = bench.archive();
        for selection in selections(sort) {
            let (whole, last) = one_page(&archive, &selection);
            prop_assert!(!last.has_more);
            prop_assert_eq!(Reader::new(&archive).count(&selection).unwrap().0, whole.len() as u64);
            let mut pieces = Vec::new();
            let mut after = None;
            loop {
                let (hits, page) = one_page(&archive, &Selection { limit: Some(size), after, ..selection.clone() });
                prop_assert!(hits.len() == size || !page.has_more);
                pieces.extend(ids(&hits));
                // As a script carries it.
                after = page.next.map(|place| place.to_string().parse().unwrap());
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(pieces, ids(&whole), "{:?}", selection);
        }
    }

    #[test]
    fn what_comes_while_somebody_pages_is_shown_once_or_not_at_all(
        calls in prop::collection::vec(made(), 1..30),
        later in prop::collection::vec(made(), 0..8),
        corrected in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        size in 1..8usize,
        sort in prop::sample::select(SORTS.to_vec()),
    ) {
        for text in [None, Some("*".to_owned())] {
            let mut bench = bench(&calls, calls.len() / 2);
            let ask = Selection { sort, text, limit: Some(size), ..Selection::default() };
            let (first, page) = one_page(&bench.archive(), &ask);
            bench.keep(&later);
            // Corrected by Graph, without other times: under the same place as before.
            let corrected: BTreeSet<usize> = corrected.iter().map(|index| index.index(calls.len())).collect();
            for call in corrected {
                let prepared = bench.prepared(&calls[call], call, 2);
                bench.writer.keep(&[prepared]).unwrap();
            }
            let archive = bench.archive();
            let (rest, _) = match page.next {
                None => (Vec::new(), page),
                after => one_page(&archive, &Selection { after, limit: None, ..ask.clone() }),
            };
            let shown = [ids(&first), ids(&rest)].concat();
            prop_assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), shown.len(), "twice");
            if page.has_more {
                let was_there: BTreeSet<String> = (0..calls.len()).map(|n| format!("c{n}")).collect();
                prop_assert!(was_there.iter().all(|id| shown.contains(id)), "left out");
                let (whole, _) = one_page(&archive, &Selection { limit: None, ..ask });
                let order: Vec<String> = ids(&whole).into_iter().filter(|id| shown.contains(id)).collect();
                prop_assert_eq!(shown, order);
            }
        }
    }

    #[test]
    fn groups_add_up_to_what_their_records_say(
        calls in prop::collection::vec(made(), 0..30),
        indexed in any::<prop::sample::Index>(),
    ) {
        let bench = bench(&calls, indexed.index(calls.len() + 1));
        let archive = bench.archive();
        for selection in selections(Sort::Newest) {
            let (hits, _) = one_page(&archive, &selection);
            for (by, names) in GROUPED {
                let mut expected: BTreeMap<Option<String>, Sum> = BTreeMap::new();
                for hit in &hits {
                    let made = &calls[hit.id[1..].parse::<usize>().unwrap()];
                    for name in names(hit, made) {
                        let sum = expected.entry(name).or_default();
                        sum.records += 1;
                        sum.duration_ns += hit.start.zip(hit.end).map_or(0, |(start, end)| i128::from((end - start).0));
                        sum.failures += u64::from(hit.failed);
                    }
                }
                let (groups, reach) = Reader::new(&archive).groups(&selection, by).unwrap();
                prop_assert!(reach.is_whole());
                let key = |group: &Group| match &group.person {
                    Some(person) => person.id.clone(),
                    None => group.name.clone(),
                };
                let got: BTreeMap<_, _> = groups.iter().map(|group| (key(group), group.sum)).collect();
                prop_assert_eq!(got.len(), groups.len());
                prop_assert_eq!(got, expected, "{:?} {:?}", by, selection);
            }
        }
    }
}

type Names = fn(&Hit, &Made) -> BTreeSet<Option<String>>;

/// What a record is grouped under, told by the answer and by what it was made of.
const GROUPED: [(By, Names); 7] = [
    (By::Participant, |hit, _| or_none(hit.participants.iter().filter_map(|person| person.id.clone()).collect())),
    (By::Organizer, |hit, _| BTreeSet::from([hit.organizer.as_ref().and_then(|person| person.id.clone())])),
    (By::Type, |hit, _| BTreeSet::from([hit.call_type.clone()])),
    (By::Modality, |hit, _| or_none(hit.modalities.iter().flatten().cloned().collect())),
    (By::Day, |hit, _| BTreeSet::from([hit.start.map(|start| start.to_string()[..10].to_owned())])),
    (By::Hour, |hit, _| BTreeSet::from([hit.start.map(|start| start.to_string()[..13].to_owned())])),
    (By::Reason, |_, made| made.reason.map(|reason| Some(reason.to_owned())).into_iter().collect()),
];

fn or_none(names: BTreeSet<String>) -> BTreeSet<Option<String>> {
    if names.is_empty() { BTreeSet::from([None]) } else { names.into_iter().map(Some).collect() }
}

#[test]
fn somebody_who_changed_their_name_is_one_group_under_the_last_name() {
    let call =
        |hour| Made { start_h: Some(hour), minutes: Some(3), people: vec![1, 2], modalities: vec![], reason: None };
    let bench = bench(&[call(1), call(2), call(3)], 1);
    let (mut groups, _) = Reader::new(&bench.archive()).groups(&Selection::default(), By::Participant).unwrap();
    groups.sort_by_key(|group| Reverse(group.name.clone()));
    let told: Vec<_> =
        groups.iter().map(|group| (group.name.as_deref(), group.sum.records, group.sum.minutes())).collect();
    assert_eq!(told, [(Some("Person 2"), 3, 9.0), (Some("Person 1 of 2"), 3, 9.0)]);
}

#[test]
fn by_relevance_a_page_has_no_next_place_and_says_that_there_is_more() {
    let call = |hour| Made { start_h: Some(hour), minutes: Some(3), people: vec![2], modalities: vec![], reason: None };
    let bench = bench(&[call(1), call(2), call(3)], 3);
    let ask = Selection { text: Some("person".into()), sort: Sort::Relevance, limit: Some(2), ..Selection::default() };
    let mut n_hits = 0;
    let page = Reader::new(&bench.archive()).page(&ask, &mut |hit| {
        assert_eq!(hit.next, None);
        n_hits += 1;
        ControlFlow::Continue(())
    });
    let page = page.unwrap();
    assert_eq!((n_hits, page.n_hits, page.has_more, page.next), (2, 2, true, None));
}

#[test]
fn who_asks_again_is_answered_from_what_is_indexed_by_then() {
    let call = |hour| Made { start_h: Some(hour), minutes: Some(3), people: vec![2], modalities: vec![], reason: None };
    let mut bench = bench(&[call(1)], 1);
    let archive = bench.archive();
    let reader = Reader::new(&archive);
    let ask = Selection { text: Some("person".into()), ..Selection::default() };
    let found = || reader.count(&ask).unwrap().0;
    assert_eq!(found(), 1);
    let kept = reader.index().unwrap().unwrap();
    assert!(Rc::ptr_eq(&kept, &reader.index().unwrap().unwrap()), "nothing happened: it stays open");
    bench.keep(&[call(2)]);
    assert_eq!(found(), 2, "beside the index");
    follow::catch_up(&archive).unwrap();
    assert_eq!(found(), 2, "in the index");
    assert!(kept.position() < reader.index().unwrap().unwrap().position());
    std::fs::remove_dir_all(archive.folder().index()).unwrap();
    assert_eq!(found(), 2, "without an index");
}

#[test]
fn who_asks_again_is_told_who_took_part_though_rows_were_made_anew_meanwhile() {
    let call = |hour, n| Made {
        start_h: Some(hour),
        minutes: Some(3),
        people: vec![n],
        modalities: vec!["audio"],
        reason: None,
    };
    let mut bench = bench(&[call(1, 0), call(2, 2)], 2);
    let archive = bench.archive();
    let reader = Reader::new(&archive);
    let told = || {
        let mut told = Vec::new();
        let on = &mut |hit: Hit| {
            told.extend(hit.participants.into_iter().filter_map(|person| person.name));
            ControlFlow::Continue(())
        };
        reader.for_each(&Selection::default(), on).unwrap();
        told
    };
    assert_eq!(told(), ["Person 2", "Person 0"]);
    // People have other numbers from then on.
    let corrected = bench.prepared(&call(1, 4), 0, 2);
    bench.writer.keep(&[corrected]).unwrap();
    bench.writer.forget_rows().unwrap();
    bench.writer.derive_missing(&mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(told(), ["Person 2", "Person 4"]);
}

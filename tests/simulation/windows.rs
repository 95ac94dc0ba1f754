//! Windows of a list or a log as they went over the wire, and what they let an archive say of a moment.

use std::collections::BTreeSet;

use callvault::{
    archive::Archive,
    model::{
        retention::Retention,
        source::Source,
        time::{Age, Span, Timestamp},
    },
};

use crate::{
    play::Went,
    scenario::Dice,
    wire::{Exchange, Page},
};

/// Points in time closer to an edge than this are not judged: clocks tell whole seconds, and requests take their time.
const EDGE: Age = Age::minutes(20);

/// What Microsoft states of a source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// How long a record is kept for certain, from its start.
    pub(crate) retained: Age,
    /// How late it may show itself without anybody missing it.
    pub(crate) latency: Age,
    /// How late it may show itself at all.
    pub(crate) settling: Age,
}

/// A window, page by page.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// When its first page was asked for.
    pub(crate) begun: Timestamp,
    /// Listed though it may not have been due.
    pub(crate) by_name: bool,
    next: Option<String>,
    /// The page read last, where the process perhaps died before it noted that: then it is asked for again, and what comes next may
    /// have another link by now.
    read_perhaps: Option<String>,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    NotYet,
    /// Read to its end, but perhaps the process died before it noted that.
    Doubtful,
    Whole,
}

/// All windows of one source.
pub(crate) struct Windows {
    rule: Rule,
    pub(crate) chains: Vec<Chain>,
    /// The earliest time that was ever asked for and still to be had, and that of processes that died before they asked.
    set_out: Option<Timestamp>,
    set_out_perhaps: Option<Timestamp>,
}

/// What a round read of a source.
#[derive(Default)]
pub(crate) struct Followed<'a> {
    /// Spans that went on from an earlier round.
    pub(crate) resumed: Vec<(Timestamp, Timestamp)>,
    /// Pages; of a doubtful one nobody knows whether it was stored.
    pub(crate) pages: Vec<Seen<'a>>,
}

pub(crate) struct Seen<'a> {
    pub(crate) page: &'a Page,
    pub(crate) from: Timestamp,
    pub(crate) is_doubtful: bool,
}

/// What cuts hours out of what is covered.
pub(crate) struct Facts {
    pub(crate) now: Timestamp,
    /// Hours of records still to fetch, and of records lost.
    pub(crate) missing: BTreeSet<Timestamp>,
    pub(crate) lost: BTreeSet<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    covered: bool,
    gap: bool,
    lost: bool,
}

impl Windows {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule, chains: Vec::new(), set_out: None, set_out_perhaps: None }
    }

    /// Puts the round's pages to their windows. `window` reads the span off the address of a first page.
    pub(crate) fn follow<'a>(
        &mut self,
        went: &'a Went,
        is_of: impl Fn(&Exchange) -> bool,
        window: fn(&str) -> Option<(Timestamp, Timestamp)>,
    ) -> Followed<'a> {
        let broke_off = went.broke_off();
        let last = went.log.iter().rposition(&is_of);
        // Without a token a window is set out for and nobody asked.
        let signed_in = went.log.iter().all(|exchange| !exchange.url.contains("/oauth2/") || exchange.status == 200);
        if broke_off && last.is_none() || !signed_in {
            let from = went.begun - self.rule.retained;
            self.set_out_perhaps = Some(self.set_out_perhaps.map_or(from, |known| known.min(from)));
        }
        let mut asked: Option<(&str, Timestamp)> = None;
        let mut followed = Followed::default();
        let known = self.chains.len();
        for (n, exchange) in went.log.iter().enumerate().filter(|(_, exchange)| is_of(exchange)) {
            let first = window(&exchange.url);
            let oldest = exchange.at - self.rule.retained;
            // A window of time that Graph may have forgotten whole says nothing of the time after it.
            if let Some((from, _)) = first.filter(|(_, to)| *to > oldest) {
                let from = from.max(oldest);
                self.set_out = Some(self.set_out.map_or(from, |known| known.min(from)));
            }
            if first.is_some() && asked.is_none_or(|(url, _)| url != exchange.url) {
                asked = Some((&exchange.url, exchange.at));
            }
            let Some(page) = &exchange.page else { continue };
            let place = if let (Some((from, to)), Some((_, begun))) = (first, asked.take()) {
                let by_name = went.asks.is_some();
                self.chains.push(Chain { from, to, begun, by_name, next: None, read_perhaps: None, end: End::NotYet });
                self.chains.len() - 1
            } else {
                let goes_on = |chain: &Chain| [&chain.next, &chain.read_perhaps].contains(&&Some(exchange.url.clone()));
                let Some(place) = self.chains.iter().rposition(goes_on) else { continue };
                place
            };
            let is_doubtful = broke_off && Some(n) == last;
            let chain = &mut self.chains[place];
            followed.pages.push(Seen { page, from: chain.from, is_doubtful });
            if place < known {
                followed.resumed.push((chain.from, chain.to));
            }
            chain.next.clone_from(&page.next);
            chain.read_perhaps = is_doubtful.then(|| exchange.url.clone());
            if page.next.is_none() {
                chain.end = if is_doubtful { End::Doubtful } else { End::Whole };
            }
        }
        followed
    }

    /// What the archive says it covers, lacks and lost of a source, against what was said on the wire, at random moments.
    pub(crate) fn judge(
        &self,
        archive: &Archive,
        source: Source,
        facts: &Facts,
        (first, points): (Timestamp, u32),
        mut dice: Dice,
    ) {
        let says = archive.coverage(source, facts.now, &Retention::default()).unwrap();
        let within = |spans: &[Span], at| spans.iter().any(|span| span.contains(at));
        let span_s = (facts.now - first).0 / 1_000_000_000;
        for _ in 0..points {
            let at = first + Age::seconds(dice.between(0, span_s));
            let Some(truth) = self.state_around(at, facts) else { continue };
            let said =
                State { covered: within(&says.covered, at), gap: within(&says.gaps, at), lost: within(&says.lost, at) };
            assert_eq!(said, truth, "left what the archive says of {source} {at} at {}, right what is true", facts.now);
        }
    }

    /// The state of a point of time; `None` too close to an edge to tell.
    fn state_around(&self, at: Timestamp, facts: &Facts) -> Option<State> {
        let state = self.state(at, facts, true);
        let same = |at, doubtful| self.state(at, facts, doubtful) == state;
        (same(at, false) && same(at - EDGE, true) && same(at + EDGE, true)).then_some(state)
    }

    fn state(&self, at: Timestamp, facts: &Facts, doubtful: bool) -> State {
        let Rule { retained, latency, settling } = self.rule;
        let whole = |chain: &&Chain| chain.end == End::Whole || doubtful && chain.end == End::Doubtful;
        let could_see = |chain: &&Chain| at >= chain.begun - retained && at < chain.begun;
        let in_window = |chain: &&Chain| chain.from <= at && at < chain.to;
        let listed = |chain: &&Chain| whole(chain) && in_window(chain) && could_see(chain);
        let is_listed = self.chains.iter().any(|chain| listed(&chain));
        let is_settled = self.chains.iter().filter(listed).any(|chain| chain.begun - at >= settling)
            || at >= facts.now - Age::hours(96);
        let hour = at.floor_to(Age::hours(1));
        let lost_record = facts.lost.contains(&hour);
        let covered = is_listed && is_settled && !lost_record && !facts.missing.contains(&hour);
        let horizon = facts.now - retained;
        let ever = self.chains.iter().any(|chain| whole(&chain));
        let perhaps = self.set_out_perhaps.filter(|_| doubtful);
        let set_out = perhaps.into_iter().chain(self.set_out).min();
        let duty = set_out.filter(|_| ever).map_or(horizon, |from| from + Age::minutes(10));
        State {
            covered,
            gap: at >= horizon && at < facts.now - latency && !covered && !lost_record,
            lost: lost_record || (duty <= at && at < horizon && !covered),
        }
    }
}

//! One client by itself, and several against one budget, in a time of their own.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use proptest::prelude::{any, prop, proptest};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use super::{Log, Pace, SHARE_MIN};
use crate::graph::budget::Allowance;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn pace(requests: u32, window: Duration) -> Pace {
    Pace::new(Allowance { requests, window })
}

/// The most of `times` that any half-open window holds.
fn densest(times: &[Instant], window: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while times[first] + window <= *time {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

/// Sends as fast as it may, waking `late(n)` after each due time; what is sent arrives at once.
fn run(pace: &mut Pace, start: Instant, requests: usize, late: impl Fn(usize) -> Duration) -> Vec<Instant> {
    let mut now = start;
    let mut sent = Vec::new();
    while sent.len() < requests {
        match pace.take(now) {
            Ok(()) => {
                pace.arrived(now, now);
                sent.push(now);
            }
            Err(due) => now = due + late(sent.len()),
        }
    }
    sent
}

#[test]
fn requests_leave_evenly_from_the_first_one_on() {
    let start = Instant::now();
    let sent = run(&mut pace(100, SECOND), start, 500, |_| Duration::ZERO);
    assert_eq!(densest(&sent, SECOND), 100);
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] == MS * 10));
}

#[test]
fn a_rest_is_not_made_up_for() {
    let start = Instant::now();
    let mut pace = pace(100, SECOND);
    run(&mut pace, start, 100, |_| Duration::ZERO);
    let sent = run(&mut pace, start + SECOND * 3, 100, |_| Duration::ZERO);
    assert!(sent[99] - sent[0] >= MS * 980, "{:?}", sent[99] - sent[0]);
}

#[test]
fn late_timers_cost_no_rate() {
    let start = Instant::now();
    let sent = run(&mut pace(1000, SECOND), start, 5000, |n| MS * u32::try_from(n % 4).unwrap());
    assert!(*sent.last().unwrap() - start < SECOND * 5 + MS * 40);
    assert_eq!(densest(&sent, SECOND), 1000);
}

/// Requests that arrive as late as `delay` says, at a Graph that counts them.
fn arrivals(pace: &mut Pace, start: Instant, requests: usize, delay: impl Fn(usize) -> Duration) -> Vec<Instant> {
    let (mut now, mut sent) = (start, 0);
    let mut on_the_way: BinaryHeap<Reverse<(Instant, Instant)>> = BinaryHeap::new();
    let mut arrived = Vec::new();
    while arrived.len() < requests {
        let due = match pace.take(now) {
            Ok(()) => {
                on_the_way.push(Reverse((now + delay(sent), now)));
                sent += 1;
                continue;
            }
            Err(due) => due,
        };
        now = due;
        while let Some(Reverse((arrival, left))) = on_the_way.peek().copied().filter(|next| next.0.0 <= due) {
            on_the_way.pop();
            now = arrival;
            pace.arrived(left, arrival);
            arrived.push(arrival);
        }
    }
    arrived
}

proptest! {
    #[test]
    fn no_window_of_graphs_ever_holds_more_than_the_budget(
        delays in prop::collection::vec(0_u32..250, 1..50),
        rests in prop::collection::vec((0_usize..400, 0_u32..3000), 0..5),
        throttle in any::<bool>(),
    ) {
        let start = Instant::now();
        let window = SECOND * 2;
        let mut pace = pace(147, window);
        let delay = |n: usize| MS * delays[n % delays.len()];
        let mut arrived = arrivals(&mut pace, start, 300, delay);
        for (requests, rest) in rests {
            let now = *arrived.last().unwrap() + MS * rest;
            if throttle {
                pace.throttled(now, now, MS * 300, 0.5);
            }
            arrived.extend(arrivals(&mut pace, now, requests + 1, delay));
        }
        arrived.sort();
        assert!(densest(&arrived, window) <= 147);
    }
}

#[test]
fn the_time_on_the_way_is_all_that_exactness_costs() {
    let start = Instant::now();
    let mut pace = pace(1490, SECOND * 20);
    let slow = |n: usize| MS * if n.is_multiple_of(7) { 900 } else { 80 };
    let arrived = arrivals(&mut pace, start, 20_000, slow);
    let rate = 20_000.0 / (arrived[19_999] - start).as_secs_f64();
    assert!(rate > 1490.0 / 20.0 * 0.985, "{rate}");
}

#[test]
fn a_429_stops_everything_and_then_all_go_on_slower_one_after_another() {
    let start = Instant::now();
    let mut pace = pace(100, SECOND);
    let before = run(&mut pace, start, 100, |_| Duration::ZERO);
    let now = *before.last().unwrap() + MS;
    for request in &before[80..] {
        pace.throttled(*request, now, SECOND * 10, 0.5);
    }
    assert_eq!(pace.take(now + SECOND * 5).unwrap_err().duration_since(now).as_secs(), 10);
    let after = run(&mut pace, now, 50, |_| Duration::ZERO);
    let interval = MS * 10;
    assert!(after[0] >= now + SECOND * 10 && after[0] < now + SECOND * 10 + interval);
    assert!(
        after.windows(2).all(|pair| pair[1] - pair[0] > interval && pair[1] - pair[0] < interval.mul_f64(1.2)),
        "one step down for one burst of answers"
    );
    assert_eq!(pace.throttled, SECOND * 10, "time stopped counts once, however many were refused");
}

#[test]
fn clients_whose_pauses_end_together_begin_apart() {
    let start = Instant::now();
    let begin = |random| {
        let mut pace = pace(100, SECOND);
        pace.throttled(start, start, SECOND, random);
        pace.take(start).unwrap_err()
    };
    assert_eq!(begin(0.0), start + SECOND);
    assert!(begin(0.9) - begin(0.1) > MS * 8);
}

#[test]
fn the_rate_comes_back_soon_stays_and_then_asks_for_more() {
    let start = Instant::now();
    let mut pace = pace(1000, SECOND * 20);
    pace.arrived.times = VecDeque::from(vec![start; 500]);
    pace.throttled(start, start, SECOND, 0.0);
    let mut shares = Vec::new();
    for minutes in 0..16 {
        shares.push(pace.share(start + SECOND + MINUTE * minutes));
    }
    assert!(shares.is_sorted());
    let at = |minutes: usize| shares[minutes];
    // One refusal costs no more than a fifth, so what is remembered is 0.8.
    assert!((0.71..0.73).contains(&at(0)) && (0.79..0.81).contains(&at(3)) && (0.79..0.82).contains(&at(4)));
    assert!((0.82..0.9).contains(&at(6)) && (shares[10] - 1.0).abs() < 1e-9, "{shares:?}");
    for n in 0..100 {
        let now = start + MINUTE + SECOND * n;
        pace.throttled(now, now, SECOND, 0.0);
    }
    assert!((pace.share(start + SECOND * 160) - SHARE_MIN).abs() < 1e-3);
}

#[test]
fn a_log_frees_its_places_as_they_age() {
    let start = Instant::now();
    let mut log = Log::new(Allowance { requests: 3, window: SECOND * 20 });
    log.note(start + SECOND * 2);
    log.note(start + SECOND);
    let now = start + SECOND * 3;
    assert_eq!(log.free_at(now, 0), None);
    assert_eq!(log.free_at(now, 1), Some(start + SECOND * 21));
    assert_eq!(log.free_at(now, 2), Some(start + SECOND * 22));
    assert_eq!(log.free_at(now, 3), Some(now + SECOND * 20));
    assert_eq!(log.free_at(start + SECOND * 21, 1), None);
}

/// A Graph with one budget for all: an exact sliding window in which refused requests count.
struct Graph {
    requests: usize,
    /// When the newest requests leave the window.
    leaving: VecDeque<Duration>,
    retry_after_min: Duration,
    /// What share it refuses whatever the rate.
    moods: f64,
}

impl Graph {
    fn refuses(&mut self, now: Duration, dice: &mut StdRng) -> Option<Duration> {
        if self.moods > 0.0 && dice.random_bool(self.moods) {
            return Some(self.retry_after_min);
        }
        self.leaving.push_back(now + SECOND * 20);
        if self.leaving.len() <= self.requests || self.leaving.pop_front()? <= now {
            return None;
        }
        let room = self.leaving[0].saturating_sub(now);
        Some(Duration::from_secs(room.as_secs() + 1).max(self.retry_after_min))
    }
}

/// Clients that always have something to ask, from a second to a second.
struct Play {
    /// Requests in 20 s.
    graph: usize,
    clients: Vec<(u64, u64)>,
    retry_after_min: Duration,
    moods: f64,
    minutes: u64,
}

/// What came of it, minute by minute.
struct Played {
    /// Answered, by client.
    answered: Vec<Vec<f64>>,
    refused: Vec<f64>,
    graph: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Ask,
    Arrive { sent: Duration },
    Answer { sent: Duration, wait: Option<Duration> },
}

impl Play {
    fn new(clients: &[(u64, u64)]) -> Self {
        Self { graph: 1500, clients: clients.to_vec(), retry_after_min: SECOND, moods: 0.0, minutes: 40 }
    }

    fn run(&self, seed: u64) -> Played {
        let zero = Instant::now();
        let mut dice = StdRng::seed_from_u64(seed);
        let Self { retry_after_min, moods, .. } = *self;
        let mut graph = Graph { requests: self.graph, leaving: VecDeque::new(), retry_after_min, moods };
        let mut paces: Vec<Pace> = self.clients.iter().map(|_| pace(1490, SECOND * 20)).collect();
        let mut steps = BinaryHeap::new();
        for (client, (from, _)) in self.clients.iter().enumerate() {
            steps.push(Reverse((SECOND * u32::try_from(*from).unwrap(), client, Step::Ask)));
        }
        let minutes = usize::try_from(self.minutes).unwrap();
        let mut played = Played {
            answered: vec![vec![0.0; self.clients.len()]; minutes],
            refused: vec![0.0; minutes],
            graph: f64::from(u32::try_from(self.graph).unwrap()) * 3.0,
        };
        while let Some(Reverse((now, client, step))) = steps.pop() {
            let minute = usize::try_from(now.as_secs() / 60).unwrap();
            if minute >= minutes {
                break;
            }
            let pace = &mut paces[client];
            // Half of the way there, half of it back.
            let way = Duration::from_micros(dice.random_range(20_000..100_000));
            match step {
                Step::Ask if now.as_secs() >= self.clients[client].1 => {}
                Step::Ask => {
                    let next = match pace.take(zero + now) {
                        Ok(()) => {
                            steps.push(Reverse((now + way, client, Step::Arrive { sent: now })));
                            now
                        }
                        Err(due) => due - zero,
                    };
                    steps.push(Reverse((next, client, Step::Ask)));
                }
                Step::Arrive { sent } => {
                    let wait = graph.refuses(now, &mut dice);
                    match wait {
                        Some(_) => played.refused[minute] += 1.0,
                        None => played.answered[minute][client] += 1.0,
                    }
                    steps.push(Reverse((now + way, client, Step::Answer { sent, wait })));
                }
                Step::Answer { sent, wait } => {
                    pace.arrived(zero + sent, zero + now);
                    if let Some(wait) = wait {
                        pace.throttled(zero + sent, zero + now, wait, dice.random());
                    }
                }
            }
        }
        played
    }
}

impl Played {
    /// Each client's part of Graph's budget between two minutes.
    fn shares(&self, from: usize, to: usize) -> Vec<f64> {
        let clients = self.answered[0].len();
        let minutes = f64::from(u32::try_from(to - from).unwrap());
        (0..clients)
            .map(|client| {
                self.answered[from..to].iter().map(|minute| minute[client]).sum::<f64>() / self.graph / minutes
            })
            .collect()
    }

    fn refused_share(&self) -> f64 {
        let answered: f64 = self.answered.iter().flatten().sum();
        let refused: f64 = self.refused.iter().sum();
        refused / (answered + refused)
    }

    /// They share what there is, waste little of it, and are hardly ever refused, the beginning included.
    fn is_good(&self, settled: usize) {
        let shares = self.shares(settled, self.answered.len());
        let (least, most) = (shares.iter().copied().fold(1.0, f64::min), shares.iter().copied().fold(0.0, f64::max));
        assert!(shares.iter().sum::<f64>() >= 0.9, "{shares:?}");
        assert!(most <= least * 2.0, "{shares:?}");
        assert!(self.refused_share() < 0.005, "{}", self.refused_share());
    }
}

const ALWAYS: (u64, u64) = (0, u64::MAX);

#[test]
fn a_lone_client_is_never_refused_and_has_the_whole_budget() {
    let played = Play { minutes: 10, ..Play::new(&[ALWAYS]) }.run(1);
    assert!(played.refused.iter().all(|refused| *refused == 0.0));
    assert!(played.shares(0, 10)[0] > 0.985, "{:?}", played.shares(0, 10));
}

#[test]
fn clients_of_one_budget_share_it() {
    for seed in [1, 2] {
        for clients in [2, 3, 5] {
            Play::new(&vec![ALWAYS; clients]).run(seed).is_good(5);
        }
    }
}

#[test]
fn a_client_that_comes_later_gets_its_share() {
    for seed in [1, 2, 3] {
        let played = Play::new(&[ALWAYS, (600, u64::MAX)]).run(seed);
        played.is_good(20);
        assert!(played.shares(11, 16)[1] > 0.2, "{:?}", played.shares(11, 16));
    }
}

#[test]
fn who_is_left_alone_has_all_of_it_minutes_later() {
    for seed in [1, 2, 3] {
        let played = Play::new(&[ALWAYS, (0, 600)]).run(seed);
        assert!(played.shares(22, 40)[0] > 0.97, "{:?}", played.shares(22, 40));
        assert!(played.refused[22..].iter().all(|refused| *refused == 0.0), "and is not refused any more");
    }
}

#[test]
fn a_budget_far_below_the_published_one_is_found_and_used() {
    for graph in [750, 300] {
        let played = Play { graph, ..Play::new(&[ALWAYS]) }.run(1);
        played.is_good(3);
        Play { graph, ..Play::new(&[ALWAYS, ALWAYS]) }.run(1).is_good(5);
    }
}

#[test]
fn refusals_that_no_rate_explains_slow_nobody_down_to_nothing() {
    for (moods, at_least) in [(0.002, 0.09), (0.02, 0.08), (0.05, 0.06), (0.1, 0.04)] {
        let played = Play { moods, ..Play::new(&[ALWAYS]) }.run(1);
        assert!(played.shares(10, 40)[0] > at_least, "{moods}: {:?}", played.shares(10, 40));
    }
}

#[test]
fn who_is_given_next_to_nothing_asks_for_next_to_nothing() {
    let played = Play { graph: 10, retry_after_min: SECOND * 10, ..Play::new(&[ALWAYS]) }.run(1);
    assert!(played.shares(5, 40)[0] > 0.5, "{:?}", played.shares(5, 40));
    assert!(played.refused_share() < 0.2, "{}", played.refused_share());
    let played = Play { moods: 0.5, retry_after_min: SECOND * 10, ..Play::new(&[ALWAYS]) }.run(1);
    assert!(played.refused[10..].iter().all(|refused| *refused <= 6.0), "{:?}", played.refused);
}

#[test]
fn long_pauses_are_not_provoked_often() {
    for clients in [2, 5] {
        let play = Play { retry_after_min: SECOND * 10, minutes: 60, ..Play::new(&vec![ALWAYS; clients]) };
        let played = play.run(1);
        assert!(played.shares(5, 60).iter().sum::<f64>() >= 0.9, "{:?}", played.shares(5, 60));
        assert!(played.refused_share() < 0.005);
    }
}

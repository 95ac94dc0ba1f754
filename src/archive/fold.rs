//! Few listings that say what many said: the table of listings grows by a row a window for good, and a service lists each time
//! that it looks.
//!
//! What coverage, plan and states take from the finished listings of an instant is: when it was first listed after records had stopped
//! appearing; where never, when it was first listed at all; and when it was last listed, for the plan as long as Graph may have it,
//! for `final` within Graph's memory. Listings are cut to where they are one of these, and cuts that touch are joined where one
//! listing reached over both, or where Graph has long forgotten both. The last days stay as they are.
//!
//! Every row that stays is of a listing that took place there. Coverage, states and plan are the same before and after, whatever
//! retention is set, now and later: property-tested in `sync/plan/folding.rs`. What is not kept to the minute is when time that Graph has
//! forgotten was first and last listed.

use crate::{
    archive::{coverage::UNSETTLED_MAX, listing::Listing},
    model::{
        relisting::Policy,
        retention::Retention,
        source::Source,
        time::{Age, Span, Timestamp, subtract, union},
    },
};

/// A part of a finished listing that is needed.
#[derive(Clone, Debug)]
struct Piece {
    span: Span,
    /// What its listing reached over.
    whole: Span,
    begun: Timestamp,
    listed: Option<Timestamp>,
}

/// Listings with which everything computed at `now` (Graph's time) or later is as with `listings`. Unfinished ones stay as they
/// are; new rows have the id 0.
#[must_use]
pub fn fold(source: Source, listings: &[Listing], now: Timestamp, policy: &Policy) -> Vec<Listing> {
    let bucket = source.bucket();
    let edge = (now - UNSETTLED_MAX).floor_to(bucket);
    // Before this the plan looks at nothing.
    let forgotten = (now - policy.retention.reach(source) - Age::days(1)).floor_to(bucket).min(edge);
    let old = Span::new(Timestamp(i64::MIN), edge);
    let planned = Span::new(forgotten, edge);

    let finished: Vec<&Listing> = listings.iter().filter(|listing| listing.listed.is_some()).collect();
    let mut pieces = settled(source, &finished, old, forgotten, policy);
    pieces.extend(unsettled(source, &finished, old));
    pieces.extend(last_whole(&finished, planned, bucket));
    pieces.extend(last_in_memory(source, &finished, old, forgotten, policy));
    // A piece is nothing beside a larger one of the same listing.
    pieces.sort_by_key(|piece| (piece.begun, piece.span.from, std::cmp::Reverse(piece.span.to)));
    pieces.dedup_by(|next, kept| next.begun == kept.begun && next.span.to <= kept.span.to);

    let young = finished
        .iter()
        .filter(|listing| listing.span.to > edge)
        .map(|listing| Listing { span: Span::new(listing.span.from.max(edge), listing.span.to), ..(*listing).clone() });
    let mut folded: Vec<Listing> = pieces.into_iter().map(|piece| piece.into_listing(source, listings)).collect();
    folded.extend(young.filter(|listing| !listing.span.is_empty()));
    folded.extend(listings.iter().filter(|listing| listing.listed.is_none()).cloned());
    folded.sort_by_key(|listing| (listing.begun, listing.span));
    folded
}

impl Piece {
    /// The listing's own row where it is needed whole.
    fn into_listing(self, source: Source, listings: &[Listing]) -> Listing {
        let is_own = |listing: &&Listing| listing.span == self.span && listing.begun == self.begun;
        let own = listings.iter().filter(|listing| listing.listed.is_some()).find(is_own);
        let Self { span, begun, listed, .. } = self;
        own.cloned().unwrap_or(Listing { listing_id: 0, source, span, begun, listed, cursor: None })
    }
}

/// Goes through listings in their order and keeps of each what `reach` gives of it and none before reached. What it takes out of the
/// reach of later ones is `mark` of its own.
fn first<'a>(
    listings: impl Iterator<Item = &'a Listing>,
    reach: impl Fn(&Listing) -> Span,
    mark: impl Fn(Span) -> Span,
) -> Vec<Piece> {
    let (mut pieces, mut taken) = (Vec::new(), Vec::new());
    for listing in listings {
        let reached = reach(listing);
        if reached.is_empty() {
            continue;
        }
        let (whole, begun, listed) = (listing.span, listing.begun, listing.listed);
        pieces.extend(subtract(&[reached], &taken).into_iter().map(|span| Piece { span, whole, begun, listed }));
        taken.push(mark(reached));
        taken = union(taken);
    }
    pieces
}

/// When each instant was first listed after records had stopped appearing.
fn settled(source: Source, finished: &[&Listing], old: Span, forgotten: Timestamp, policy: &Policy) -> Vec<Piece> {
    let settled = |listing: &Listing| {
        old.intersection(Span::new(listing.span.from, listing.span.to.min(listing.begun - source.settling())))
    };
    let pieces = first(finished.iter().copied(), settled, |reached| reached);
    joined(pieces, |piece, next| {
        let joint = Span::new(piece.span.from, next.span.to);
        let later = if piece.begun > next.begun { piece } else { next };
        let reached_over_both = later.whole.from <= joint.from && joint.to <= later.whole.to;
        let sweeps_as_much = || [piece, next].iter().all(|part| sweeps_as(source, part, later.begun, policy));
        let may_be_told_as_one = reached_over_both || joint.to <= forgotten && sweeps_as_much();
        (may_be_told_as_one && is_of_a_day(joint) && later.begun <= joint.from + kept_for_certain(source))
            .then(|| Piece { span: joint, ..later.clone() })
    })
}

/// When each instant was first listed that was never listed again in time.
fn unsettled(source: Source, finished: &[&Listing], old: Span) -> Vec<Piece> {
    let seen = |listing: &Listing, age: Age| {
        Span::new(listing.span.from, listing.span.to.min(listing.begun - age)).intersection(old)
    };
    let in_memory = |listing: &&Listing| {
        let seen = seen(listing, source.settling());
        Span::new(seen.from.max(listing.begun - kept_for_certain(source)), seen.to)
    };
    let settled = union(finished.iter().map(in_memory).collect());
    let pieces = first(finished.iter().copied(), |listing| seen(listing, Age::default()), |reached| reached);
    pieces
        .into_iter()
        .flat_map(|piece| {
            subtract(&[piece.span], &settled).into_iter().map(move |span| Piece { span, ..piece.clone() })
        })
        .collect()
}

/// When each bucket was last listed, for the plan: a listing is later than another where it reached over the whole bucket.
fn last_whole(finished: &[&Listing], planned: Span, bucket: Age) -> Vec<Piece> {
    let whole_buckets = |reached: Span| {
        Span::new(Timestamp(reached.from.0 + bucket.0 - 1).floor_to(bucket), reached.to.floor_to(bucket))
    };
    first(finished.iter().rev().copied(), |listing| listing.span.intersection(planned), whole_buckets)
}

/// When each instant was last listed while Graph had it, which is what makes it final.
fn last_in_memory(
    source: Source,
    finished: &[&Listing],
    old: Span,
    forgotten: Timestamp,
    policy: &Policy,
) -> Vec<Piece> {
    let in_memory = |listing: &Listing| {
        let from = listing.span.from.max(listing.begun - policy.retention.certain(source));
        Span::new(from, listing.span.to.min(listing.begun)).intersection(old)
    };
    let pieces = first(finished.iter().rev().copied(), in_memory, |reached| reached);
    joined(pieces, |piece, next| {
        let joint = Span::new(piece.span.from, next.span.to);
        let earlier = if piece.begun < next.begun { piece } else { next };
        let may_be_told_as_one = joint.to <= forgotten
            && is_of_a_day(joint)
            // What the earlier listing says of the joint must be true of both parts.
            && joint.to <= earlier.begun - source.settling()
            && [piece, next].iter().all(|part| {
                let was_in_memory = part.begun <= part.span.from + kept_for_certain(source);
                was_in_memory && sweeps_as(source, part, earlier.begun, policy)
            });
        may_be_told_as_one.then(|| Piece { span: joint, ..earlier.clone() })
    })
}

/// Whether a part would be swept as it was if its listing had begun at `begun`.
fn sweeps_as(source: Source, part: &Piece, begun: Timestamp, policy: &Policy) -> bool {
    let of_part = is_swept(source, part.span, part.begun, policy);
    of_part.is_some() && of_part == is_swept(source, part.span, begun, policy)
}

/// Whether a listing that began at `begun` swept all of a span or nothing; `None` when a part.
fn is_swept(source: Source, span: Span, begun: Timestamp, policy: &Policy) -> Option<bool> {
    let bucket = source.bucket();
    let swept = |instant: Timestamp| {
        let from = instant.floor_to(bucket);
        policy.sweep(source, Span::new(from, from + bucket)) <= begun
    };
    let (first, last) = (swept(span.from), swept(Timestamp(span.to.0 - 1)));
    (first == last).then_some(first)
}

/// Joins pieces that touch where `join` finds one that says the same as both.
fn joined(mut pieces: Vec<Piece>, join: impl Fn(&Piece, &Piece) -> Option<Piece>) -> Vec<Piece> {
    pieces.sort_by_key(|piece| piece.span);
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        let joint = joined.last().filter(|last| last.span.to == piece.span.from).and_then(|last| join(last, &piece));
        match (joint, joined.last_mut()) {
            (Some(joint), Some(last)) => *last = joint,
            _ => joined.push(piece),
        }
    }
    joined
}

fn is_of_a_day(span: Span) -> bool {
    span.from.floor_to(Age::days(1)) == Timestamp(span.to.0 - 1).floor_to(Age::days(1))
}

/// The shortest time that any setting of countries gives: what is told as one must be so under each.
fn kept_for_certain(source: Source) -> Age {
    Retention::default().certain(source)
}

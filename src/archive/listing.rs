//! Which spans of start times were listed, and how far the others got.

use std::collections::HashSet;

use rusqlite::{Connection, params};

use crate::{
    archive::{error::Result, fold, tally, todo},
    model::{
        id::Cursor,
        listed::Listed,
        relisting::Policy,
        source::Source,
        time::{Age, Span, Timestamp},
    },
};

/// A span that is being listed or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub listing_id: i64,
    pub source: Source,
    pub span: Span,
    /// Graph's time when its first page was asked for: what appears later is not in it.
    pub begun: Timestamp,
    /// Set when its last page was in.
    pub listed: Option<Timestamp>,
    /// Where to go on; `None` before the first page and after the last.
    pub cursor: Option<Cursor>,
}

/// What a page brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageOutcome {
    pub rows: usize,
    /// Rows put on the to-do list.
    pub wanted: usize,
}

/// Begins a listing; nothing is known of it yet.
pub(crate) fn begin(connection: &Connection, source: Source, span: Span, now: Timestamp) -> Result<Listing> {
    let listing_id = connection
        .prepare_cached("INSERT INTO listing (source, from_ns, to_ns, begun_ns) VALUES (?1, ?2, ?3, ?4)")?
        .insert(params![source.name(), span.from.0, span.to.0, now.0])?;
    Ok(Listing { listing_id, source, span, begun: now, listed: None, cursor: None })
}

/// Takes in a page: ids onto the to-do list and the cursor past them, or the end noted. Runs in the caller's transaction.
pub(crate) fn page(
    connection: &Connection,
    listing: &Listing,
    rows: &[Listed],
    next: Option<&Cursor>,
    now: Timestamp,
) -> Result<PageOutcome> {
    let mut outcome = PageOutcome { rows: rows.len(), wanted: 0 };
    // A row that does not say when its call began: taken for the youngest of its window, lest it be given up too early.
    let unknown_start = listing.span.to.min(now) - Age::hours(1);
    for row in rows {
        if todo::want(connection, listing.source.kind(), row, unknown_start, now)? {
            outcome.wanted += 1;
            tally::note_change(connection, listing.source, row.start.unwrap_or(unknown_start), now)?;
        }
    }
    note_page(connection, listing, rows.len(), next, next.is_none().then_some(now))?;
    Ok(outcome)
}

/// Notes a page of a listing that is never resumed; `listed` is set at its end. Runs in the caller's transaction.
pub(crate) fn count_page(
    connection: &Connection,
    listing: &Listing,
    rows: usize,
    listed: Option<Timestamp>,
) -> Result<()> {
    note_page(connection, listing, rows, None, listed)
}

fn note_page(
    connection: &Connection,
    listing: &Listing,
    rows: usize,
    next: Option<&Cursor>,
    listed: Option<Timestamp>,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE listing SET cursor = ?2, listed_ns = ?3, pages = pages + 1, rows = rows + ?4 WHERE listing_id = ?1",
        )?
        .execute(params![
            listing.listing_id,
            next.map(|cursor| &cursor.0),
            listed.map(|time| time.0),
            i64::try_from(rows).unwrap_or(i64::MAX)
        ])?;
    Ok(())
}

/// Forgets a listing that cannot go on; what it put on the to-do list stays there.
pub(crate) fn abandon(connection: &Connection, listing: &Listing) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM listing WHERE listing_id = ?1 AND listed_ns IS NULL")?
        .execute([listing.listing_id])?;
    Ok(())
}

/// With so many rows since the last time, listings are folded again.
const FOLD_EVERY: i64 = 256;

/// Folds finished listings where enough have come since the last time; says how many rows that took away. Runs in the caller's
/// transaction. A row that says what several said, or a part of one, has no pages.
pub(crate) fn fold(connection: &Connection, source: Source, policy: &Policy, now: Timestamp) -> Result<usize> {
    let since: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM listing WHERE source = ?1 AND listing_id >
             (SELECT coalesce(max(listing_id), 0) FROM listing WHERE source = ?1 AND pages = 0 AND listed_ns IS NOT NULL)",
        )?
        .query_row([source.name()], |row| row.get(0))?;
    if since < FOLD_EVERY {
        return Ok(0);
    }
    let listings = self::since(connection, source, Timestamp(i64::MIN))?;
    let folded = fold::fold(source, &listings, now, policy);
    if folded.len() >= listings.len() {
        return Ok(0);
    }
    let stays: HashSet<(i64, Span)> = folded.iter().map(|listing| (listing.listing_id, listing.span)).collect();
    for gone in listings.iter().filter(|listing| !stays.contains(&(listing.listing_id, listing.span))) {
        connection.prepare_cached("DELETE FROM listing WHERE listing_id = ?1")?.execute([gone.listing_id])?;
    }
    let known: HashSet<(i64, Span)> = listings.iter().map(|listing| (listing.listing_id, listing.span)).collect();
    let mut insert = connection.prepare_cached(
        "INSERT INTO listing (source, from_ns, to_ns, begun_ns, listed_ns) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for new in folded.iter().filter(|listing| !known.contains(&(listing.listing_id, listing.span))) {
        let listed = new.listed.map(|time| time.0);
        insert.execute(params![source.name(), new.span.from.0, new.span.to.0, new.begun.0, listed])?;
    }
    Ok(listings.len() - folded.len())
}

/// Listings of a source that reach past `from`, in the order in which they began.
pub(crate) fn since(connection: &Connection, source: Source, from: Timestamp) -> Result<Vec<Listing>> {
    let mut statement = connection.prepare_cached(
        "SELECT listing_id, from_ns, to_ns, begun_ns, listed_ns, cursor FROM listing WHERE source = ?1 AND to_ns > ?2 ORDER BY begun_ns",
    )?;
    let rows = statement.query_map(params![source.name(), from.0], |row| {
        Ok(Listing {
            listing_id: row.get(0)?,
            source,
            span: Span::new(Timestamp(row.get(1)?), Timestamp(row.get(2)?)),
            begun: Timestamp(row.get(3)?),
            listed: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            cursor: row.get::<_, Option<String>>(5)?.map(Cursor),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

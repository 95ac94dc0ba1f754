//! A call's sessions over time, drawn.

use std::fmt::Write;

use crate::{
    model::{
        rows::{Endpoint, Session},
        time::{Age, Span, Timestamp},
    },
    package::report::{clock, escaped, top::place},
};

const WIDTH: f64 = 1000.0;
/// Left of the bars, for names.
const NAMES: f64 = 250.0;
const ROW: f64 = 20.0;
const TOP: f64 = 20.0;
/// Letters of a name that fit.
const NAME_LETTERS: usize = 32;
/// Sessions of one drawing: a page of paper has room for them.
const ROWS_MAX: usize = 36;
/// Steps between marks of the axis, the first that gives few enough.
const STEPS_S: [i64; 13] = [1, 5, 15, 30, 60, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400];
const MARKS_MAX: i64 = 8;

/// Draws sessions as bars, and their segments on them.
pub(super) fn draw(page: &mut String, sessions: &[Session]) {
    let times = || {
        sessions.iter().flat_map(|session| {
            session.segments.iter().flat_map(|segment| [segment.start, segment.end]).chain([session.start, session.end])
        })
    };
    let (Some(from), Some(to)) = (times().flatten().min(), times().flatten().max()) else { return };
    let span = Span::new(from, to.max(from + Age::seconds(1)));
    for rows in sessions.chunks(ROWS_MAX) {
        drawing(page, span, rows);
    }
}

fn drawing(page: &mut String, span: Span, sessions: &[Session]) {
    #[expect(clippy::cast_precision_loss, reason = "a place on a drawing")]
    let height = TOP + ROW * sessions.len() as f64 + 4.0;
    let _ = writeln!(page, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"sessions over time\">");
    axis(page, span, height);
    for (n, session) in sessions.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a place on a drawing")]
        let y = TOP + ROW * n as f64;
        row(page, span, y, session);
    }
    page.push_str("</svg>\n");
}

fn axis(page: &mut String, span: Span, height: f64) {
    let seconds = (span.to - span.from).whole_seconds();
    let step = STEPS_S.into_iter().find(|step| seconds / step <= MARKS_MAX).unwrap_or(seconds / MARKS_MAX + 1);
    let mut mark = span.from.floor_to(Age::seconds(step));
    let mut before = None;
    while mark <= span.to {
        if mark >= span.from {
            let x = x(span, mark);
            // At the right edge there is no room for its text.
            let anchor = if x > WIDTH - 40.0 { "end" } else { "middle" };
            let _ = write!(
                page,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"14\" x2=\"{x:.1}\" y2=\"{height}\"/><text class=\"axis\" x=\"{x:.1}\" y=\"10\" \
                 text-anchor=\"{anchor}\">{}</text>",
                clock(mark, before.or(Some(span.from)))
            );
            before = Some(mark);
        }
        mark = mark + Age::seconds(step);
    }
    page.push('\n');
}

fn row(page: &mut String, span: Span, y: f64, session: &Session) {
    let name = format!("{} → {}", end(session.caller.as_deref()), end(session.callee.as_deref()));
    let mut short: String = name.chars().take(NAME_LETTERS).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    let _ = write!(page, "<text x=\"0\" y=\"{:.1}\">{}</text>", y + 14.0, escaped(&short));
    bar(page, span, (y + 3.0, 14.0), ("session", session.failure.is_some()), (session.start, session.end), &name);
    for segment in &session.segments {
        bar(
            page,
            span,
            (y + 7.0, 6.0),
            ("segment", segment.failure.is_some()),
            (segment.start, segment.end),
            "segment",
        );
    }
    page.push('\n');
}

fn bar(
    page: &mut String,
    span: Span,
    (y, height): (f64, f64),
    (class, has_failed): (&str, bool),
    (start, end): (Option<Timestamp>, Option<Timestamp>),
    title: &str,
) {
    let (Some(start), Some(end)) = (start, end) else { return };
    let (from, to) = (x(span, start), x(span, end));
    let class = if has_failed { "failed" } else { class };
    let _ = write!(
        page,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height}\" rx=\"2\"><title>{}: {} to {}</title></rect>",
        (to - from).max(1.5),
        escaped(title),
        clock(start, Some(span.from)),
        clock(end, Some(span.from))
    );
}

fn x(span: Span, time: Timestamp) -> f64 {
    NAMES + place(span, time, WIDTH - NAMES - 4.0)
}

/// What one end of a session is called.
pub(super) fn end(end: Option<&Endpoint>) -> String {
    let Some(end) = end else { return "?".to_owned() };
    let identity = end.identity.as_ref();
    let named = identity.and_then(|identity| {
        [&identity.display_name, &identity.user_principal_name, &identity.id].into_iter().flatten().next().cloned()
    });
    let role = || end.user_agent.as_ref().and_then(|agent| agent.role.clone());
    named
        .or_else(role)
        .unwrap_or_else(|| if end.endpoint_type == "serviceEndpoint" { "service".into() } else { "?".into() })
}

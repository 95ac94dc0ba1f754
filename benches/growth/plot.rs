//! The looks as lines in one SVG: readable on light and on dark pages, without a script.

use std::fmt::Write;

use crate::look::{Look, as_f64};

const PANEL: (f64, f64) = (320.0, 200.0);
const MARGIN: (f64, f64) = (56.0, 44.0);
const COLUMNS: usize = 2;

type Figure = fn(&Look) -> f64;

/// One drawing: a title with its unit, and lines with their names.
struct Panel {
    title: &'static str,
    lines: &'static [(&'static str, Figure)],
}

const PANELS: [Panel; 6] = [
    Panel { title: "Stored: calls a CPU second", lines: &[("", Look::stored_a_cpu_s)] },
    Panel {
        title: "On disk: MiB",
        lines: &[
            ("all", |look| mib(look.all_bytes())),
            ("database", |look| mib(look.database_bytes)),
            ("sealed", |look| mib(look.sealed_bytes)),
            ("index", |look| mib(look.index_bytes)),
        ],
    },
    Panel {
        title: "Question in a process of its own: CPU ms",
        lines: &[
            ("person and week", |look| look.cold_key_ms),
            ("text, newest 50", |look| look.cold_text_ms),
            ("status", |look| look.cold_status_ms),
        ],
    },
    Panel {
        title: "Question in an open archive: CPU ms",
        lines: &[("person and week", |look| look.warm_key.cpu_ms), ("text, newest 50", |look| look.warm_text.cpu_ms)],
    },
    Panel { title: "On disk: bytes a call", lines: &[("", Look::bytes_a_call)] },
    Panel {
        title: "Memory at most: MiB",
        lines: &[("storing", |look| mib(look.took.storing_bytes)), ("sealing", |look| mib(look.took.sealing_bytes))],
    },
];

fn mib(bytes: u64) -> f64 {
    as_f64(bytes) / as_f64(1 << 20)
}

const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:12px}.grid{stroke:#ddd}\
    .l0{stroke:#0b62c4}.l1{stroke:#c2410c}.l2{stroke:#15803d}.l3{stroke:#7c3aed}.t0{fill:#0b62c4}.t1{fill:#c2410c}.t2{fill:#15803d}.t3{fill:#7c3aed}\
    polyline{fill:none;stroke-width:2;stroke-linejoin:round}.page{fill:#fff}\
    @media(prefers-color-scheme:dark){.page{fill:#16181d}text{fill:#ccc}.grid{stroke:#3a3d44}.l0{stroke:#6cb2ff}.l1{stroke:#ff9a62}.l2{stroke:#6ee79a}.l3{stroke:#c4a5ff}\
    .t0{fill:#6cb2ff}.t1{fill:#ff9a62}.t2{fill:#6ee79a}.t3{fill:#c4a5ff}}";

pub(crate) fn svg(looks: &[Look]) -> String {
    let cell = (PANEL.0 + MARGIN.0 + 24.0, PANEL.1 + 2.0 * MARGIN.1);
    let (width, height) = (cell.0 * as_f64(COLUMNS as u64), cell.1 * as_f64(PANELS.len().div_ceil(COLUMNS) as u64));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\
         <title>How an archive's figures change as it grows</title><style>{STYLE}</style><rect class=\"page\" width=\"100%\" height=\"100%\"/>"
    );
    for (n, panel) in PANELS.iter().enumerate() {
        let (x, y) =
            (as_f64((n % COLUMNS) as u64) * cell.0 + MARGIN.0, as_f64((n / COLUMNS) as u64) * cell.1 + MARGIN.1);
        let _ = write!(svg, "<g transform=\"translate({x} {y})\">");
        draw(&mut svg, panel, looks);
        svg += "</g>";
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel, looks: &[Look]) {
    let lines: Vec<&(&str, Figure)> =
        panel.lines.iter().filter(|(_, figure)| looks.iter().any(|look| figure(look) > 0.0)).collect();
    let most = |figures: &mut dyn Iterator<Item = f64>| figures.fold(0.0, f64::max);
    let (x_step, x_end) = scale(most(&mut looks.iter().map(|look| as_f64(look.calls))));
    let (y_step, y_end) = scale(most(&mut lines.iter().flat_map(|(_, figure)| looks.iter().map(figure))));
    let _ = write!(svg, "<text class=\"title\" y=\"-14\">{}</text>", panel.title);
    for tick in ticks(y_step, y_end) {
        let y = PANEL.1 * (1.0 - tick / y_end);
        let _ = write!(
            svg,
            "<line class=\"grid\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            PANEL.0,
            y + 4.0,
            shown(tick)
        );
    }
    for tick in ticks(x_step, x_end) {
        let x = PANEL.0 * tick / x_end;
        let _ =
            write!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", PANEL.1 + 16.0, shown(tick));
    }
    let _ = write!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">calls</text>", PANEL.0, PANEL.1 + 31.0);
    // From the left, so that no name stands on another's.
    let mut name_x = 0.0;
    for (n, (name, figure)) in lines.iter().enumerate() {
        let _ = write!(svg, "<polyline class=\"l{n}\" points=\"");
        for look in looks {
            let (x, y) = (PANEL.0 * as_f64(look.calls) / x_end, PANEL.1 * (1.0 - figure(look) / y_end));
            let _ = write!(svg, "{x:.1},{y:.1} ");
        }
        let _ = write!(svg, "\"/><text class=\"t{n}\" x=\"{name_x}\" y=\"{}\">{name}</text>", PANEL.1 + 31.0);
        name_x += 16.0 + 6.2 * as_f64(name.len() as u64);
    }
}

/// The distance of the ticks of an axis, some four or five, and its end, so that the largest figure is on it.
fn scale(most: f64) -> (f64, f64) {
    let rough = (most / 4.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    (step, step * (most / step).ceil().max(1.0))
}

fn ticks(step: f64, end: f64) -> impl Iterator<Item = f64> {
    (0..=12_u32).map(move |n| f64::from(n) * step).take_while(move |tick| *tick <= end * 1.0001)
}

fn shown(tick: f64) -> String {
    match tick {
        1e6.. => format!("{} M", tick / 1e6),
        1e3.. => format!("{} k", tick / 1e3),
        _ => format!("{}", (tick * 1000.0).round() / 1000.0),
    }
}

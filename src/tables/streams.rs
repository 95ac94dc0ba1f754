//! The table of media streams: one line a stream, with all its members, read from the document itself.

use std::io;

use crate::{
    model::view::{self, leaf::Leaf, media::Stream, view},
    tables::{
        Row,
        cell::{Cell, Column, Type},
    },
};

view! {
    /// Of a call what leads to its streams.
    struct Call<'a> {
        sessions: Vec<Session<'a>> = "sessions",
    }
}
view! {
    struct Session<'a> {
        id: Leaf<'a> = "id",
        segments: Vec<Segment<'a>> = "segments",
    }
}
view! {
    struct Segment<'a> {
        id: Leaf<'a> = "id",
        media: Vec<Media<'a>> = "media",
    }
}
view! {
    struct Media<'a> {
        label: Leaf<'a> = "label",
        streams: Vec<Stream<'a>> = "streams",
    }
}

/// Where a stream stands. Numbers count from 0, inside what they are in.
const PLACE: [Column; 9] = [
    Column::new("call_id", Type::Text),
    Column::new("version", Type::Whole),
    Column::new("session_n", Type::Whole),
    Column::new("session_id", Type::Text),
    Column::new("segment_n", Type::Whole),
    Column::new("segment_id", Type::Text),
    Column::new("media_n", Type::Whole),
    Column::new("media_label", Type::Text),
    Column::new("n", Type::Whole),
];

/// What a member of `mediaStream` is.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    Whole,
    Real,
    Truth,
    Time,
    /// An `Edm.Duration`, shown in milliseconds.
    Duration,
}

impl Holds {
    fn column_type(self) -> Type {
        match self {
            Holds::Text => Type::Text,
            Holds::Whole => Type::Whole,
            Holds::Real | Holds::Duration => Type::Real,
            Holds::Truth => Type::Truth,
            Holds::Time => Type::Time,
        }
    }

    /// What is not of its type is shown as the text that it is.
    fn cell(self, leaf: Leaf<'_>) -> Cell<'_> {
        let typed = match self {
            Holds::Text => None,
            Holds::Whole => leaf.integer().map(Cell::Whole),
            Holds::Real => leaf.number().map(Cell::Real),
            Holds::Truth => leaf.boolean().map(Cell::Truth),
            Holds::Time => return Cell::time(leaf.timestamp()),
            Holds::Duration => leaf.duration().map(|length| Cell::Real(length.as_millis_f64())),
        };
        typed.unwrap_or_else(|| Cell::text(leaf.text()))
    }
}

struct Member {
    column: &'static str,
    holds: Holds,
    leaf: for<'a> fn(&Stream<'a>) -> Leaf<'a>,
}

/// A column with the member of the same name.
macro_rules! members {
    ($($name:ident $(as $column:literal)?: $holds:ident,)*) => {
        [$(Member {
            column: members!(@column $name $($column)?),
            holds: Holds::$holds,
            leaf: |stream| stream.$name,
        },)*]
    };
    (@column $name:ident) => { stringify!($name) };
    (@column $name:ident $column:literal) => { $column };
}

/// Every member, who streams what first.
const MEMBERS: [Member; 30] = members! {
    stream_id: Text,
    stream_direction: Text,
    start_date_time: Time,
    end_date_time: Time,
    audio_codec: Text,
    video_codec: Text,
    average_packet_loss_rate: Real,
    max_packet_loss_rate: Real,
    post_forward_error_correction_packet_loss_rate: Real,
    average_jitter as "average_jitter_ms": Duration,
    max_jitter as "max_jitter_ms": Duration,
    average_round_trip_time as "average_round_trip_time_ms": Duration,
    max_round_trip_time as "max_round_trip_time_ms": Duration,
    packet_utilization: Whole,
    average_bandwidth_estimate: Whole,
    was_media_bypassed: Truth,
    average_audio_degradation: Real,
    average_audio_network_jitter as "average_audio_network_jitter_ms": Duration,
    max_audio_network_jitter as "max_audio_network_jitter_ms": Duration,
    average_ratio_of_concealed_samples: Real,
    max_ratio_of_concealed_samples: Real,
    is_audio_forward_error_correction_used: Truth,
    average_video_frame_rate: Real,
    average_received_frame_rate: Real,
    average_video_frame_loss_percentage: Real,
    average_video_packet_loss_rate: Real,
    low_frame_rate_ratio: Real,
    low_video_processing_capability_ratio: Real,
    average_freeze_duration as "average_freeze_duration_ms": Duration,
    rms_freeze_duration as "rms_freeze_duration_ms": Duration,
};

pub(super) fn columns() -> Vec<Column> {
    let members = MEMBERS.iter().map(|member| Column::new(member.column, member.holds.column_type()));
    PLACE.into_iter().chain(members).collect()
}

pub(super) fn for_each(row: &Row<'_>, on: &mut dyn FnMut(&[Cell<'_>]) -> io::Result<()>) -> io::Result<()> {
    let call = view::read::<Call<'_>>(row.json).0.unwrap_or_default();
    let mut cells = Vec::with_capacity(PLACE.len() + MEMBERS.len());
    for (session_n, session) in (0..).zip(&call.sessions) {
        for (segment_n, segment) in (0..).zip(&session.segments) {
            for (media_n, media) in (0..).zip(&segment.media) {
                for (n, stream) in (0..).zip(&media.streams) {
                    cells.clear();
                    cells.extend([
                        Cell::Text(row.hit.id.as_str().into()),
                        Cell::Whole(row.hit.version.0),
                        Cell::Whole(session_n),
                        Cell::text(session.id.text()),
                        Cell::Whole(segment_n),
                        Cell::text(segment.id.text()),
                        Cell::Whole(media_n),
                        Cell::text(media.label.text()),
                        Cell::Whole(n),
                    ]);
                    cells.extend(MEMBERS.iter().map(|member| member.holds.cell((member.leaf)(stream))));
                    on(&cells)?;
                }
            }
        }
    }
    Ok(())
}

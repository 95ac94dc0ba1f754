//! Apache Parquet: typed columns, compressed by zstd, a row group for every few thousand lines.
//!
//! Written through the crate's own column writers and not by way of Arrow, which takes twice as long to build and would copy every
//! value once more (docs/decisions/0012). Every column may be null. Instants are microseconds in UTC, which every reader of Parquet
//! takes, and so lose the tenth of a microsecond that Graph may send; money is `DECIMAL(38, 10)`; a value that is not of
//! its column's type is null.

use std::{
    io::{self, Write},
    mem,
    sync::Arc,
};

use bytes::Bytes;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::{ByteArray, FixedLenByteArray},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::{Type as Field, TypePtr},
};

use crate::tables::{
    Form,
    cell::{Cell, Column, Type},
};

/// A row group is closed at so many lines, or at so many bytes of text: what is held in memory.
const GROUP_LINES: usize = 20_480;
const GROUP_TEXT_BYTES: usize = 8 << 20;
const LEVEL: i32 = 3;
const DECIMAL_PRECISION: i32 = 38;
const DECIMAL_SCALE: u8 = 10;

pub struct Parquet<W: Write> {
    out: W,
    /// Writes into memory, which goes to `out` after each group: so `out` need not be one that threads may share.
    writer: SerializedFileWriter<Vec<u8>>,
    chunks: Vec<Chunk>,
    lines: usize,
}

impl<W: Write> Parquet<W> {
    /// Begins with the file's mark.
    pub fn new(out: W, columns: &[Column]) -> io::Result<Self> {
        let schema = schema(columns).map_err(io_error)?;
        let level = ZstdLevel::try_new(LEVEL).map_err(io_error)?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("callvault ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(Compression::ZSTD(level))
            .build();
        let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).map_err(io_error)?;
        Ok(Self { out, writer, chunks: columns.iter().map(|column| Chunk::new(column.holds)).collect(), lines: 0 })
    }

    fn close_group(&mut self) -> io::Result<()> {
        if self.lines == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(io_error)?;
        for chunk in &mut self.chunks {
            let Some(mut column) = group.next_column().map_err(io_error)? else { break };
            mem::replace(chunk, Chunk::new(chunk.holds)).write(column.untyped()).map_err(io_error)?;
            column.close().map_err(io_error)?;
        }
        group.close().map_err(io_error)?;
        self.lines = 0;
        self.writer.flush()?;
        self.out.write_all(&mem::take(self.writer.inner_mut()))
    }

    fn text_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.values.text_bytes()).sum()
    }
}

impl<W: Write> Form for Parquet<W> {
    fn line(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (chunk, cell) in self.chunks.iter_mut().zip(cells) {
            chunk.push(cell);
        }
        self.lines += 1;
        if self.lines == GROUP_LINES || self.text_bytes() >= GROUP_TEXT_BYTES {
            self.close_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.close_group()?;
        let end = self.writer.into_inner().map_err(io_error)?;
        self.out.write_all(&end)?;
        self.out.flush()
    }
}

fn io_error(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

fn schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let fields =
        columns.iter().map(|column| field(&column.title, column.holds).map(Arc::new)).collect::<Result<_, _>>()?;
    Ok(Arc::new(Field::group_type_builder("callvault").with_fields(fields).build()?))
}

fn field(title: &str, holds: Type) -> Result<Field, ParquetError> {
    let (physical, logical) = match holds {
        Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Type::Whole => (Physical::INT64, None),
        Type::Real => (Physical::DOUBLE, None),
        Type::Truth => (Physical::BOOLEAN, None),
        Type::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Type::Decimal => {
            let logical = LogicalType::decimal(DECIMAL_SCALE.into(), DECIMAL_PRECISION);
            return Field::primitive_type_builder(title, Physical::FIXED_LEN_BYTE_ARRAY)
                .with_repetition(Repetition::OPTIONAL)
                .with_length(16)
                .with_precision(DECIMAL_PRECISION)
                .with_scale(DECIMAL_SCALE.into())
                .with_logical_type(Some(logical))
                .build();
        }
        // The three levels that the format prescribes for a list.
        Type::Texts(_) => {
            let element = Arc::new(field("element", Type::Text)?);
            let list =
                Field::group_type_builder("list").with_repetition(Repetition::REPEATED).with_fields(vec![element]);
            return Field::group_type_builder(title)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(Some(LogicalType::List))
                .with_fields(vec![Arc::new(list.build()?)])
                .build();
        }
    };
    Field::primitive_type_builder(title, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

/// A column's part of the group at hand.
struct Chunk {
    holds: Type,
    values: Values,
    /// How far each place is defined: of a list, 0 is no list, 1 an empty one, 2 an element that is null, 3 one that is not; else 0 is null.
    defined: Vec<i16>,
    /// Of a list, 0 where one begins, 1 where it goes on.
    repeated: Vec<i16>,
}

enum Values {
    /// One after the other, and where each ends.
    Texts {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
    Wholes(Vec<i64>),
    Reals(Vec<f64>),
    Truths(Vec<bool>),
    Decimals(Vec<i128>),
}

impl Values {
    fn push_text(&mut self, text: &str) {
        if let Values::Texts { bytes, ends } = self {
            bytes.extend_from_slice(text.as_bytes());
            ends.push(bytes.len());
        }
    }

    fn text_bytes(&self) -> usize {
        match self {
            Values::Texts { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

impl Chunk {
    fn new(holds: Type) -> Self {
        let values = match holds {
            Type::Text | Type::Texts(_) => Values::Texts { bytes: Vec::new(), ends: Vec::new() },
            Type::Whole | Type::Time => Values::Wholes(Vec::new()),
            Type::Real => Values::Reals(Vec::new()),
            Type::Truth => Values::Truths(Vec::new()),
            Type::Decimal => Values::Decimals(Vec::new()),
        };
        Self { holds, values, defined: Vec::new(), repeated: Vec::new() }
    }

    fn push(&mut self, cell: &Cell<'_>) {
        if let Type::Texts(_) = self.holds {
            return self.push_list(cell);
        }
        let is_there = self.push_value(cell).is_some();
        self.defined.push(i16::from(is_there));
    }

    fn push_list(&mut self, cell: &Cell<'_>) {
        let Cell::Texts(texts) = cell else { return self.place(0, 0) };
        if texts.is_empty() {
            return self.place(1, 0);
        }
        for (n, text) in texts.iter().enumerate() {
            if let Some(text) = text {
                self.values.push_text(text);
            }
            self.place(if text.is_some() { 3 } else { 2 }, i16::from(n > 0));
        }
    }

    fn place(&mut self, defined: i16, repeated: i16) {
        self.defined.push(defined);
        self.repeated.push(repeated);
    }

    /// Nothing where the cell holds nothing, or nothing of the column's type.
    fn push_value(&mut self, cell: &Cell<'_>) -> Option<()> {
        match (&mut self.values, self.holds, cell) {
            (values @ Values::Texts { .. }, _, Cell::Text(text) | Cell::Digits(text)) => values.push_text(text),
            (Values::Wholes(values), Type::Time, Cell::Time(time)) => values.push(time.0.div_euclid(1_000)),
            (Values::Wholes(values), Type::Whole, Cell::Whole(number)) => values.push(*number),
            (Values::Wholes(values), Type::Whole, Cell::Digits(digits)) => {
                values.push(i64::try_from(scaled(digits, 0)?).ok()?);
            }
            (Values::Reals(values), _, Cell::Real(number)) => values.push(*number),
            (Values::Truths(values), _, Cell::Truth(truth)) => values.push(*truth),
            (Values::Decimals(values), _, Cell::Digits(digits)) => values.push(scaled(digits, DECIMAL_SCALE)?),
            _ => return None,
        }
        Some(())
    }

    fn write(self, column: &mut ColumnWriter<'_>) -> Result<(), ParquetError> {
        let defined = Some(self.defined.as_slice());
        let repeated = matches!(self.holds, Type::Texts(_)).then_some(self.repeated.as_slice());
        match (column, self.values) {
            (ColumnWriter::ByteArrayColumnWriter(column), Values::Texts { bytes, ends }) => {
                let bytes = Bytes::from(bytes);
                let starts = [0].into_iter().chain(ends.iter().copied());
                let texts: Vec<ByteArray> =
                    starts.zip(&ends).map(|(start, end)| bytes.slice(start..*end).into()).collect();
                column.write_batch(&texts, defined, repeated)?;
            }
            (ColumnWriter::Int64ColumnWriter(column), Values::Wholes(values)) => {
                column.write_batch(&values, defined, None)?;
            }
            (ColumnWriter::DoubleColumnWriter(column), Values::Reals(values)) => {
                column.write_batch(&values, defined, None)?;
            }
            (ColumnWriter::BoolColumnWriter(column), Values::Truths(values)) => {
                column.write_batch(&values, defined, None)?;
            }
            (ColumnWriter::FixedLenByteArrayColumnWriter(column), Values::Decimals(values)) => {
                let decimal = |value: &i128| FixedLenByteArray::from(value.to_be_bytes().to_vec());
                column.write_batch(&values.iter().map(decimal).collect::<Vec<_>>(), defined, None)?;
            }
            _ => return Err(ParquetError::General("a column is not of its type".into())),
        }
        Ok(())
    }
}

/// A number of JSON times ten to the power of `scale`, where that is a whole number of at most 38 digits: nothing is rounded.
fn scaled(digits: &str, scale: u8) -> Option<i128> {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let number: i128 = format!("{whole}{fraction}").parse().ok()?;
    if number == 0 {
        return Some(0);
    }
    let shift = exponent.parse::<i64>().ok()? + i64::from(scale) - i64::try_from(fraction.len()).ok()?;
    let factor = 10_i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?);
    let scaled = match shift {
        0.. => number.checked_mul(factor?)?,
        _ => Some(number).filter(|number| factor.is_some_and(|factor| number % factor == 0))? / factor?,
    };
    (scaled.unsigned_abs() < 10_u128.pow(DECIMAL_PRECISION.unsigned_abs())).then_some(scaled)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;
    use crate::model::time::Timestamp;

    fn written(columns: &[Column], lines: &[Vec<Cell<'_>>]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut form = Box::new(Parquet::new(&mut out, columns).unwrap());
        for line in lines {
            form.line(line).unwrap();
        }
        form.finish().unwrap();
        out
    }

    fn reader(file: Vec<u8>) -> SerializedFileReader<Bytes> {
        SerializedFileReader::new(Bytes::from(file)).unwrap()
    }

    /// Each line as the reader of the crate prints it.
    fn read(file: Vec<u8>) -> Vec<String> {
        reader(file).get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
    }

    #[test]
    fn every_type_comes_back_as_what_it_is_and_nothing_as_null() {
        let columns = [
            Column::new("text", Type::Text),
            Column::new("whole", Type::Whole),
            Column::new("real", Type::Real),
            Column::new("truth", Type::Truth),
            Column::new("time", Type::Time),
            Column::new("money", Type::Decimal),
            Column::new("texts", Type::Texts(";")),
        ];
        let time = Timestamp::parse("2026-11-01T10:00:00.1234567Z").unwrap();
        let full = vec![
            Cell::Text("=1 \u{0} 王".into()),
            Cell::Whole(i64::MIN),
            Cell::Real(0.1),
            Cell::Truth(true),
            Cell::Time(time),
            Cell::Digits("-1.2400".into()),
            Cell::Texts(vec![Some("a"), None, Some("b;c")]),
        ];
        let empty_list = |cell| [vec![Cell::Nothing; 6], vec![cell]].concat();
        let of_other_types = vec![
            Cell::Digits("1".into()),
            Cell::Text("1".into()),
            Cell::Text("NaN".into()),
            Cell::Text("yes".into()),
            Cell::Text("soon".into()),
            Cell::Text("=1".into()),
            Cell::Text("a".into()),
        ];
        let lines = [full, empty_list(Cell::Nothing), empty_list(Cell::Texts(vec![])), of_other_types];
        let rows = read(written(&columns, &lines));
        assert_eq!(
            rows[0],
            "{text: \"=1 \0 王\", whole: -9223372036854775808, real: 0.1, truth: true, time: 2026-11-01 10:00:00.123456 +00:00, \
             money: -1.2400000000, texts: [\"a\", null, \"b;c\"]}"
        );
        let nothing = "{text: null, whole: null, real: null, truth: null, time: null, money: null, texts: null}";
        assert_eq!(rows[1], nothing);
        assert_eq!(rows[2], nothing.replace("texts: null", "texts: []"));
        assert_eq!(rows[3], nothing.replace("text: null", "text: \"1\""));
    }

    #[test]
    fn columns_say_their_types_to_every_reader() {
        let columns =
            [Column::new("t", Type::Time), Column::new("m", Type::Decimal), Column::new("l", Type::Texts(";"))];
        let file = reader(written(&columns, &[]));
        assert_eq!(file.metadata().file_metadata().num_rows(), 0);
        assert_eq!(
            file.metadata().file_metadata().created_by(),
            Some(concat!("callvault ", env!("CARGO_PKG_VERSION")))
        );
        let schema = file.metadata().file_metadata().schema_descr();
        let paths: Vec<_> = schema.columns().iter().map(|column| column.path().string()).collect();
        assert_eq!(paths, ["t", "m", "l.list.element"]);
        assert_eq!(schema.column(0).logical_type_ref(), Some(&LogicalType::timestamp(true, TimeUnit::MICROS)));
        assert_eq!(schema.column(1).logical_type_ref(), Some(&LogicalType::decimal(10, 38)));
    }

    #[test]
    fn what_is_held_in_memory_is_bounded_by_lines_and_by_bytes() {
        let columns = [Column::new("text", Type::Text)];
        let groups = |text: &str, count: usize| {
            let file = reader(written(&columns, &vec![vec![Cell::Text(text.into())]; count]));
            let groups = file.metadata().row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows);
            groups.collect::<Vec<_>>()
        };
        assert_eq!(groups("x", GROUP_LINES + 1), [20_480, 1]);
        assert_eq!(groups(&"x".repeat(1 << 20), 17), [8, 8, 1]);
    }

    #[test]
    fn money_is_exact_or_not_there() {
        let cases = [
            ("0.00", Some(0)),
            ("-0", Some(0)),
            ("1.2400", Some(12_400_000_000)),
            ("-1.5e-3", Some(-15_000_000)),
            ("12E2", Some(12_000_000_000_000)),
            ("0.00000000010", Some(1)),
            ("0.00000000001", None),
            ("0e999999999999", Some(0)),
            ("1e28", None),
            ("9999999999999999999999999999", Some(99_999_999_999_999_999_999_999_999_990_000_000_000)),
            ("1e-99999999999999999999", None),
            ("", None),
            ("-", None),
        ];
        for (digits, expected) in cases {
            assert_eq!(scaled(digits, DECIMAL_SCALE), expected, "{digits}");
        }
        assert_eq!((scaled("4.0", 0), scaled("4.5", 0), scaled("1e3", 0)), (Some(4), None, Some(1000)));
    }
}

//! Ids in columns: a GUID in its usual spelling is 16 bytes, any other id is text. Both ways are exact.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

/// The column value of an id.
pub(crate) fn to_sql(id: &str) -> ToSqlOutput<'_> {
    match parse(id) {
        Some(bytes) => ToSqlOutput::Owned(Value::Blob(bytes.to_vec())),
        None => ToSqlOutput::Borrowed(ValueRef::Text(id.as_bytes())),
    }
}

/// The id of a column value; `None` for null.
pub(crate) fn from_sql(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Blob(bytes) => {
            Some(<[u8; 16]>::try_from(bytes).map_or_else(|_| String::new(), |b| uuid::Uuid::from_bytes(b).to_string()))
        }
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Null => None,
    }
}

/// The object id that an id is, in its usual spelling; `None` of numbers, guests' ids, and the GUID of zeros that stands for nobody.
pub(crate) fn object_id(id: &str) -> Option<String> {
    let lower = id.to_ascii_lowercase();
    parse(&lower).filter(|bytes| *bytes != [0; 16]).map(|_| lower)
}

/// The bytes of a GUID, only if they give back the very same text.
pub(crate) fn parse(id: &str) -> Option<[u8; 16]> {
    if id.len() != 36 || id.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    uuid::Uuid::try_parse(id).ok().map(uuid::Uuid::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_comes_back_as_it_went_in() {
        for (id, is_blob) in [
            ("e523d2ed-2966-4b6b-925b-754a88034cc5", true),
            ("E523D2ED-2966-4B6B-925B-754A88034CC5", false),
            ("e523d2ed29664b6b925b754a88034cc5", false),
            ("+5564981205182", false),
            ("teamsvisitor:0011", false),
            ("", false),
        ] {
            let value = to_sql(id);
            let ToSqlOutput::Owned(Value::Blob(_)) = value else {
                assert!(!is_blob, "{id}");
                let ToSqlOutput::Borrowed(value) = value else { panic!("{id}") };
                assert_eq!(from_sql(value).as_deref(), Some(id));
                continue;
            };
            let ToSqlOutput::Owned(value) = value else { panic!("{id}") };
            assert!(is_blob, "{id}");
            assert_eq!(from_sql((&value).into()).as_deref(), Some(id));
        }
    }
}

//! What can go wrong in the search room.

use tantivy::TantivyError;

use crate::search::folder::is_environment;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// tantivy refused; the index may be damaged, or the disk full.
    #[error("search index: cannot {doing}: {source}")]
    Engine { doing: &'static str, source: Box<TantivyError> },
    /// tantivy gave up in the middle of work, which it does when a file is not what it wrote.
    #[error("search index is damaged: {0}")]
    Damaged(String),
}

impl Error {
    /// Whether the machine lacks something (room on the disk, a permission), which making the index anew would not mend.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        matches!(self, Error::Engine { source, .. } if is_environment(source))
    }
}

/// A query that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct SyntaxError {
    /// Where, counted in characters from 1.
    pub column: usize,
    pub message: String,
}

impl SyntaxError {
    pub(crate) fn at(column: usize, message: impl Into<String>) -> Self {
        Self { column, message: message.into() }
    }
}

/// Says what was being done when tantivy refused.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T, E: Into<TantivyError>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|error| Error::Engine { doing, source: Box::new(error.into()) })
    }
}

/// Runs `work`, turning a panic into [`Error::Damaged`]: tantivy checks no sums when it reads, and a file that is not what it
/// wrote may lead it into an index out of bounds.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::Damaged(text.unwrap_or("it cannot be read").to_owned()))
    })
}

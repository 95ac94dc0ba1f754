use callvault::{archive::Folder, model::time::Timestamp};
use crate::{play::Went, scenario::Scenario};
pub(crate) struct Oracle;
impl Oracle {
    pub(crate) fn new(_: &Scenario) -> Self { Self }
    pub(crate) fn heard(&mut self, _: &Went) {}
    pub(crate) fn judge_coverage(&self, _: &Folder, _: Timestamp) {}
    pub(crate) fn judge(&mut self, _: &Folder, _: Timestamp) {}
    pub(crate) fn found(&self) -> (u64, u64) { (0, 0) }
}

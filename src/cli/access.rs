//! Notes in the journal who asks what, before it happens and after. What cannot be noted is told, and hinders nobody.

use std::{
    cell::{Cell, RefCell},
    fs,
};

use nix::unistd::Uid;

use crate::{
    archive::{
        Error, Folder,
        access::{Journal, User},
    },
    cli::{
        Context,
        exit::{Code, Result},
        package::encrypted::is_secret,
    },
    model::time::Timestamp,
};

/// An act that is noted, while it lasts.
#[derive(Default)]
pub(super) struct Act {
    open: RefCell<Option<(Journal, i64)>>,
    count: Cell<Option<u64>>,
}

impl Act {
    /// How many records it gave out or touched; further ones add up.
    pub(super) fn count(&self, records: u64) {
        self.count.set(Some(self.count.get().unwrap_or(0) + records));
    }

    /// Notes something that was asked for in another way than by arguments: a statement from stdin.
    pub(super) fn also(&self, command: &str, text: &str, context: &Context) {
        let mut open = self.open.borrow_mut();
        let Some((journal, _)) = open.as_mut() else { return };
        if let Err(error) = journal.begin(&user(), command, &[text.to_owned()], Timestamp::now()) {
            context.note(&untold(&error));
        }
    }
}

/// Runs `work` between two notes: what is asked, and what came of it.
pub(super) fn noted(command: &str, context: &Context, work: impl FnOnce() -> Result<Code>) -> Result<Code> {
    let folder = context.folder();
    if folder.exists() && !context.config.keeps_journal() {
        // That it is off is not to be seen in the ledger alone, which a command that only reads writes nothing to.
        let noted = Journal::open(&folder).and_then(|mut journal| journal.off(&user(), context.now));
        noted.unwrap_or_else(|error| context.note(&untold(&error)));
    } else if folder.exists() {
        match begin(&folder, command, context.now) {
            Ok(begun) => drop(context.act.open.replace(Some(begun))),
            Err(error) => context.note(&untold(&error)),
        }
    }
    let outcome = work();
    let code = outcome.as_ref().map_or_else(|failure| failure.code, |code| *code);
    if let Some((mut journal, n)) = context.act.open.take() {
        let ended = journal.end(n, context.act.count.get(), code as u8, Timestamp::now());
        ended.unwrap_or_else(|error| context.note(&untold(&error)));
    }
    outcome
}

fn begin(folder: &Folder, command: &str, now: Timestamp) -> std::result::Result<(Journal, i64), Error> {
    // A secret key that was taken for a public one is not to be kept.
    let word = |word: String| if is_secret(&word) { "[a secret key]".to_owned() } else { word };
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|text| word(text.to_string_lossy().into_owned())).collect();
    let mut journal = Journal::open(folder)?;
    let n = journal.begin(&user(), command, &arguments, now)?;
    Ok((journal, n))
}

fn untold(error: &Error) -> String {
    format!("this access is not noted in the journal: {error}")
}

/// Who runs this program.
pub(super) fn user() -> User {
    let uid = Uid::current();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    // Linux keeps it through su and sudo; its highest number says that nobody logged in, as of a service.
    let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    let login_uid = login.filter(|login| ![u32::MAX, uid.as_raw()].contains(login));
    User { uid: uid.as_raw(), name, login_uid }
}

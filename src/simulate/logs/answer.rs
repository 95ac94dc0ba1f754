//! A log function's answer, in the order in which Graph looks at the request.

use std::sync::PoisonError;

use crate::simulate::{
    answer::Answer,
    json::Json,
    logs::{
        Function, LogKind, Reshape, Window,
        ask::read_skip,
        emit::{self, Spelling},
        pages,
    },
    query::options,
    resource::PSTN_CALLS_ROLE,
    routes::{Asked, Server},
    tokens::CALL_RECORDS_ROLE,
    weather::Fault,
};

/// So many windows' bookmarks are kept; then all are dropped, and pages are found the long way.
const BOOKMARKS_MAX: usize = 1000;

/// The items of a page as JSON.
struct Page {
    items: String,
    count: usize,
    has_more: bool,
}

impl Server {
    /// Answers a call of a log function by somebody who may make it.
    pub(in crate::simulate) fn log(&self, function: &Function, asked: &Asked, token: &str) -> Result<Answer, Answer> {
        let stamp = &asked.stamp;
        let error = |status, message: &str| {
            let code = if status == 406 { "NotAcceptable" } else { "BadRequest" };
            Answer::error(status, code, message, stamp)
        };
        let (is_gone, oldest, reshape) = {
            let odd = self.odd_logs.lock().unwrap_or_else(PoisonError::into_inner);
            let named = |log: &LogKind| *log == function.log;
            let gone = odd.gone.iter().find(|(log, _)| named(log)).map(|(_, status)| *status);
            let oldest = odd.refused_before.iter().find(|(log, _)| named(log)).map(|(_, age)| stamp.now - *age);
            (gone, oldest, odd.reshaped.iter().find(|(log, _)| named(log)).map(|(_, reshape)| *reshape))
        };
        if let Some(status) = is_gone {
            return Err(match status {
                400 | 404 => Answer::no_segment(status, function.log.function(), stamp),
                403 => Answer::forbidden(&[CALL_RECORDS_ROLE, PSTN_CALLS_ROLE], stamp),
                status => Answer::bare(status, stamp),
            });
        }
        if self.has_logged_enough() {
            return Err(self.ended_for_today("The logs have ended for today.", stamp));
        }
        let window = function.window().map_err(|(status, message)| error(status, &message))?;
        if oldest.is_some_and(|oldest| window.from < oldest) {
            return Err(error(400, "The requested time is not available any more."));
        }
        let skip = read_skip(&options(&asked.query)).map_err(|message| error(400, &message))?;
        let bookmark =
            self.bookmarks.lock().unwrap_or_else(PoisonError::into_inner).get(&(window, function.is_beta)).copied();
        if let Some(life) = self.skip_token_life.filter(|_| skip > 0)
            && bookmark.is_none_or(|mark| stamp.now - mark.made > life)
        {
            return Err(error(400, "The page is not there any more. Start again without $skip."));
        }
        let what = format!("{function:?} {}", if skip > 0 { skip.to_string() } else { String::new() });
        let is_first = !asked.query.contains("skip=");
        let fault = self.fault(&what, token, stamp, |fault| match fault {
            // On a later page its link would lead to the page itself.
            Fault::EmptyPage => is_first,
            Fault::Duplicate => function.log != LogKind::DialOut,
            fault => !matches!(fault, Fault::LaggingReplica | Fault::NotFoundYet),
        })?;
        let spelling = Spelling { is_beta: function.is_beta, tenant_country: &self.world.telephony.country, reshape };
        let page = self.log_page(window, skip, bookmark, asked, spelling);
        let next = match fault {
            Some(Fault::EmptyPage) => Some(skip_link(0, asked)),
            Some(Fault::LinkLoop) => Some(asked.url()),
            Some(Fault::Duplicate) if page.has_more => Some(skip_link((skip + page.count).saturating_sub(1), asked)),
            _ => page.has_more.then(|| skip_link(skip + page.count, asked)),
        };
        let is_empty = fault == Some(Fault::EmptyPage);
        let (items, count) = if is_empty { (String::new(), 0) } else { (page.items, page.count) };
        let body = Json::new_with(|json| {
            json.raw("{");
            emit::context(json, function.log, function.is_beta);
            json.raw(",\"@odata.count\":").show(count);
            let link = |json: &mut Json| {
                if let Some(next) = &next {
                    json.raw(",\"@odata.nextLink\":").text(next);
                }
            };
            if emit::has_link_first(function.log) {
                link(json);
            }
            let name = if reshape == Some(Reshape::NoValue) { "rows" } else { "value" };
            json.raw(",\"").raw(name).raw("\":[").raw(&items).raw("]");
            if !emit::has_link_first(function.log) {
                link(json);
            }
            json.raw("}");
        });
        Ok(self.delivered(body, fault))
    }

    fn has_logged_enough(&self) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let asked: u64 = LogKind::ALL.into_iter().map(|log| counts.of_log(log)).sum();
        drop(counts);
        self.sky.look(|weather| weather.log_pages_max.is_some_and(|max| asked > max))
    }

    fn log_page(
        &self,
        window: Window,
        skip: usize,
        known: Option<pages::Bookmark>,
        asked: &Asked,
        spelling: Spelling<'_>,
    ) -> Page {
        let (now, size) = (asked.stamp.now, self.page_sizes.log.max(1));
        let mut json = Json::new();
        if window.log == LogKind::DialOut {
            let lines = self.world.dial_outs(window.from, window.to, now);
            let shown = lines.iter().skip(skip).take(size);
            let (count, has_more) = (shown.len(), lines.len() > skip + size);
            json.list(shown, |json, line| emit::report_line(json, line, spelling));
            self.bookmark(window, spelling.is_beta, pages::Bookmark::at_start(now));
            return Page { items: json.into_string(), count, has_more };
        }
        let page = pages::rows(&self.world, window, skip, size, now, known);
        json.list(&page.shown, |json, row| emit::row(json, window.log, row, spelling));
        self.bookmark(window, spelling.is_beta, page.bookmark);
        Page { items: json.into_string(), count: page.shown.len(), has_more: page.has_more }
    }

    fn bookmark(&self, window: Window, is_beta: bool, bookmark: pages::Bookmark) {
        let mut bookmarks = self.bookmarks.lock().unwrap_or_else(PoisonError::into_inner);
        if bookmarks.len() >= BOOKMARKS_MAX {
            bookmarks.clear();
        }
        bookmarks.insert((window, is_beta), bookmark);
    }
}

/// The same function, written as it was asked for, from a later row on.
fn skip_link(skip: usize, asked: &Asked) -> String {
    format!("{}{}?$skip={skip}", asked.host, asked.path)
}

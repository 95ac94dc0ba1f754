macro_rules! t { ($($n:ident)*) => { $(pub fn $n(_data: &[u8]) {})* } }
t!(list_page record log_row assemble next_link time phone query config frame retry_after sign_in);

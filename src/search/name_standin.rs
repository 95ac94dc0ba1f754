//! Stand-ins with the signatures of `model::name` and `model::phone`, until those are there.

/// What `model::name` will do.
pub(crate) mod name {
    /// A word of a query: to be found whole, or as the beginning of a term.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct QueryWord {
        pub text: String,
        pub prefix: bool,
    }

    /// Lower case without diacritics.
    pub(crate) fn fold(text: &str) -> String {
        read(text, false)
    }

    /// The terms under which a name is found: folded words, both readings of umlauts, every suffix of a run without blanks.
    pub(crate) fn words(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for run in runs(text) {
            if run.chars().any(is_unspaced) {
                let folded = fold(run);
                found.extend(folded.char_indices().map(|(at, _)| folded[at..].to_owned()));
                continue;
            }
            for expanded in [false, true] {
                let whole = read(run, expanded);
                found.push(whole.replace(['\'', '’'], ""));
                found.extend(whole.split(['\'', '’']).filter(|part| !part.is_empty()).map(str::to_owned));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// What must be found for `text` to be found in a name.
    pub(crate) fn query_words(text: &str) -> Vec<QueryWord> {
        runs(text)
            .map(|run| QueryWord { text: fold(run).replace(['\'', '’'], ""), prefix: run.chars().any(is_unspaced) })
            .filter(|word| !word.text.is_empty())
            .collect()
    }

    fn runs(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !is_part(c))
            .flat_map(|run| {
                let mut cuts = vec![0];
                let mut chars = run.char_indices().peekable();
                while let (Some((_, c)), Some((at, next))) = (chars.next(), chars.peek()) {
                    if is_unspaced(c) != is_unspaced(*next) {
                        cuts.push(*at);
                    }
                }
                cuts.push(run.len());
                cuts.windows(2).map(|cut| &run[cut[0]..cut[1]]).collect::<Vec<_>>()
            })
            .filter(|run| run.chars().any(char::is_alphanumeric))
    }

    fn is_part(c: char) -> bool {
        c.is_alphanumeric() || matches!(c, '\'' | '’' | '\u{300}'..='\u{36f}' | '\u{e31}'..='\u{e4e}')
    }

    fn is_unspaced(c: char) -> bool {
        matches!(c, '\u{e00}'..='\u{e7f}' | '\u{1100}'..='\u{11ff}' | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
    }

    fn read(text: &str, expanded: bool) -> String {
        let mut folded = String::with_capacity(text.len());
        for c in text.chars().flat_map(char::to_lowercase) {
            match c {
                'ä' | 'ö' | 'ü' | 'ø' | 'å' if expanded => folded.push_str(match c {
                    'ä' => "ae",
                    'å' => "aa",
                    'ü' => "ue",
                    _ => "oe",
                }),
                'à'..='å' | 'ā' | 'ă' | 'ą' => folded.push('a'),
                'è'..='ë' | 'ē' | 'ę' | 'ě' => folded.push('e'),
                'ì'..='ï' | 'ı' | 'ī' => folded.push('i'),
                'ò'..='ö' | 'ø' | 'ő' | 'ō' => folded.push('o'),
                'ù'..='ü' | 'ů' | 'ű' | 'ū' => folded.push('u'),
                'ç' | 'ć' | 'č' => folded.push('c'),
                'ñ' | 'ń' | 'ň' => folded.push('n'),
                'ś' | 'š' | 'ş' | 'ș' => folded.push('s'),
                'ź' | 'ż' | 'ž' => folded.push('z'),
                'ý' | 'ÿ' => folded.push('y'),
                'ğ' => folded.push('g'),
                'ł' => folded.push('l'),
                'ř' => folded.push('r'),
                'ß' => folded.push_str("ss"),
                'æ' => folded.push_str("ae"),
                'ά' => folded.push('α'),
                'έ' => folded.push('ε'),
                'ή' => folded.push('η'),
                'ί' | 'ϊ' => folded.push('ι'),
                'ό' => folded.push('ο'),
                'ύ' => folded.push('υ'),
                'ώ' => folded.push('ω'),
                'ς' => folded.push('σ'),
                'ё' => folded.push('е'),
                '\u{300}'..='\u{36f}' => {}
                c => folded.push(c),
            }
        }
        folded
    }
}

/// What `model::phone` will do.
pub(crate) mod phone {
    /// A number as people type it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct PhoneQuery {
        /// Its digits from the last to the first, without a national prefix.
        pub reversed: String,
    }

    impl PhoneQuery {
        /// `None` when the text is not a number of at least four digits.
        pub(crate) fn parse(text: &str) -> Option<Self> {
            let text = text.replace("(0)", "");
            let plausible = text.chars().all(|c| c.is_ascii_digit() || " +-./()\u{a0}".contains(c));
            let digits = digits(&text);
            let bare = digits.trim_start_matches('0');
            let kept = if digits.len() > 6 { bare } else { &digits };
            (plausible && kept.len() >= 4).then(|| Self { reversed: kept.chars().rev().collect() })
        }
    }

    /// The digits of a number, in their order.
    pub(crate) fn digits(text: &str) -> String {
        text.chars().filter(char::is_ascii_digit).collect()
    }

    /// The digits of a number, last first.
    pub(crate) fn reversed_digits(text: &str) -> String {
        text.chars().rev().filter(char::is_ascii_digit).collect()
    }
}

//! The words that somebody may have meant.

/// The most words to offer.
const OFFERED: usize = 3;

/// Of `words`, those nearest to `text`, the nearest first; if none is near, the
/// first ones in order, so that an answer always shows what there is.
pub(super) fn words(text: &str, words: impl Iterator<Item = String>) -> Vec<String> {
    let mut ranked: Vec<(usize, String)> =
        words.map(|word| (strsim::osa_distance(text, &word), word)).collect();
    ranked.sort();
    ranked.dedup();
    let near = |distance: usize, word: &str| distance * 2 <= word.chars().count().max(2);
    if ranked.iter().any(|(distance, word)| near(*distance, word)) {
        ranked.retain(|(distance, word)| near(*distance, word));
    } else {
        ranked.sort_by(|(_, a), (_, b)| a.cmp(b));
    }
    ranked.into_iter().map(|(_, word)| word).take(OFFERED).collect()
}

#[cfg(test)]
mod tests {
    fn nearest(text: &str, of: &[&str]) -> Vec<String> {
        super::words(text, of.iter().map(ToString::to_string))
    }

    #[test]
    fn near_words_come_first() {
        assert_eq!(nearest("tr1", &["spine", "tor2", "tor1"]), ["tor1", "tor2"]);
        assert_eq!(nearest("10.0.2.2", &["tor1", "10.0.2.1"]), ["10.0.2.1"]);
    }

    #[test]
    fn without_a_near_word_some_are_shown() {
        assert_eq!(nearest("xyzxyz", &["tor2", "tor1"]), ["tor1", "tor2"]);
        assert!(nearest("xyz", &[]).is_empty());
    }
}

//! The words that somebody may have meant.

/// The most words to offer.
const OFFERED: usize = 3;

/// Of `words`, those nearest to `text`, the nearest first; if none is near, the
/// first ones as they come, so that an answer always shows what there is.
pub(super) fn words(text: &str, words: impl Iterator<Item = String>) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for word in words {
        if !known.contains(&word) {
            known.push(word);
        }
    }
    let distance = |word: &String| strsim::osa_distance(text, word);
    let is_near = |word: &&String| distance(word) * 2 <= word.chars().count().max(2);
    let mut near: Vec<String> = known.iter().filter(is_near).cloned().collect();
    near.sort_by_cached_key(|word| (distance(word), word.clone()));
    let mut offered = if near.is_empty() { known } else { near };
    offered.truncate(OFFERED);
    offered
}

#[cfg(test)]
mod tests {
    fn nearest(text: &str, of: &[&str]) -> Vec<String> {
        super::words(text, of.iter().map(ToString::to_string))
    }

    #[test]
    fn near_words_come_first() {
        assert_eq!(nearest("tr1", &["spine", "tor2", "tor1", "tor1"]), ["tor1", "tor2"]);
        assert_eq!(nearest("10.0.2.2", &["tor1", "10.0.2.1"]), ["10.0.2.1"]);
    }

    #[test]
    fn without_a_near_word_some_are_shown() {
        assert_eq!(
            nearest("xyzxyz", &["tor2", "tor1", "10.0.0.1", "10.0.0.2"]),
            ["tor2", "tor1", "10.0.0.1"]
        );
        assert!(nearest("xyz", &[]).is_empty());
    }
}

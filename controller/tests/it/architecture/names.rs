//! Every path that a file names. `use` trees are expanded into the paths that
//! they import; paths inside of macro calls are found in their tokens.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use super::source::Source;

/// The paths that a file names, each as its segments, `crate` or `super` first
/// where the file says so.
pub(super) fn named(source: &Source) -> BTreeSet<Vec<String>> {
    let mut names = Names { inline: Vec::new(), paths: BTreeSet::new() };
    names.visit_file(&source.syntax);
    names.paths
}

struct Names {
    /// Inline modules around the place, which `super` climbs out of first.
    inline: Vec<String>,
    paths: BTreeSet<Vec<String>>,
}

impl Names {
    fn note(&mut self, mut path: Vec<String>) {
        let climbs = path.iter().take_while(|segment| *segment == "super").count();
        let inside = climbs.min(self.inline.len());
        if inside > 0 {
            // What lies in the same file is no other module.
            path.drain(..inside);
            if climbs == inside {
                path.insert(0, "self".to_owned());
            }
        }
        self.paths.insert(path);
    }

    fn expand(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.expand(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before.to_vec()),
            syn::UseTree::Name(name) => self.note(with(&name.ident)),
            syn::UseTree::Rename(rename) if rename.ident == "self" => self.note(before.to_vec()),
            syn::UseTree::Rename(rename) => self.note(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.note(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.expand(before, tree)),
        }
    }

    /// Paths among the tokens of a macro call: identifiers joined by `::`.
    fn tokens(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut at = 0;
        while at < words.len() {
            let mut path = Vec::new();
            let mut next = at;
            while next < words.len() && is_identifier(words[next]) {
                path.push(words[next].to_owned());
                if words.get(next + 1) != Some(&"::") {
                    break;
                }
                next += 2;
            }
            if path.len() > 1 {
                self.note(path);
            }
            at = next.max(at) + 1;
        }
    }
}

fn is_identifier(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_alphanumeric() || c == '_')
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.expand(&[], &item.tree);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inline.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.inline.pop();
    }

    /// `pub(super)` says who may look, and uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.note(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        // Printed tokens stand apart, so that words and `::` can be told.
        let text = spaced(&call.tokens.to_string());
        self.tokens(&text);
    }
}

/// The text with blanks around everything that is not part of a word or `::`.
fn spaced(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ':' if rest.peek() == Some(&':') => {
                rest.next();
                out.push_str(" :: ");
            }
            c if c.is_alphanumeric() || c == '_' => out.push(c),
            c => out.extend([' ', c, ' ']),
        }
    }
    out
}

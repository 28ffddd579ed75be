//! The source files of a crate as modules.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub(super) struct Source {
    /// The path from the workspace, such as `bgp/src/wire/open.rs`.
    pub(super) file: String,
    /// The module, such as `["wire", "open"]`; empty for `lib.rs`.
    pub(super) module: Vec<String>,
    /// The text.
    pub(super) text: String,
    /// The parsed text, with everything that is compiled for tests alone taken out.
    pub(super) syntax: syn::File,
}

/// The workspace's folder.
pub(super) fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the workspace").to_owned()
}

/// The library of a crate, file by file; `main.rs` and files of tests are left out.
pub(super) fn library(package: &str) -> Vec<Source> {
    let root = workspace().join(package).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(!files.is_empty(), "{} has no sources", root.display());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !(name == "main.rs" || is_tests(path.strip_prefix(&root).unwrap_or(path)))
    };
    files.into_iter().filter(is_library).map(|path| read(package, &root, &path)).collect()
}

/// Every Rust file of a crate, tests and benches among them, with its number of lines.
pub(super) fn lengths(package: &str) -> Vec<(String, usize)> {
    let workspace = workspace();
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "fuzz"] {
        let folder = workspace.join(package).join(folder);
        if folder.is_dir() {
            collect(&folder, &mut files);
        }
    }
    let length = |path: &PathBuf| {
        let name = path.strip_prefix(&workspace).unwrap_or(path).display().to_string();
        (name, fs::read_to_string(path).unwrap().lines().count())
    };
    files.iter().map(length).collect()
}

/// Whether a path below `src` is that of a file of tests.
fn is_tests(path: &Path) -> bool {
    path.iter().any(|part| {
        let part = part.to_string_lossy();
        part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs")
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(package: &str, root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let below = path.strip_prefix(root).unwrap();
    parse(&format!("{package}/src/{}", below.display()), &text)
}

/// A source from its text; the path tells the module.
pub(super) fn parse(file: &str, text: &str) -> Source {
    let mut syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    without_tests(&mut syntax.items);
    let below = file.split_once("src/").map_or(file, |(_, below)| below);
    let mut module: Vec<String> = below.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    Source { file: file.to_owned(), module, text: text.to_owned(), syntax }
}

/// Takes out what is compiled for tests alone.
fn without_tests(items: &mut Vec<syn::Item>) {
    items.retain(|item| !attributes(item).iter().any(is_cfg_test));
    for item in items {
        if let syn::Item::Mod(syn::ItemMod { content: Some((_, items)), .. }) = item {
            without_tests(items);
        }
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

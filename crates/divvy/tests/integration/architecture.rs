//! The modules of each crate use each other only as docs/ARCHITECTURE.md states, and the tree
//! printed there is the one that exists.
//!
//! A file belongs to the module that its path names, and a module contains its sub-modules. Modules
//! beside each other must not use each other in both directions, be it directly or through others;
//! a sub-module may use what its parent defines. A use of a re-exported item counts as one of the
//! module that defines the item. Code compiled only for tests is left out, and so are crates that the
//! table does not list.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path from the root of its crate. The root's is empty.
type ModulePath = Vec<String>;

/// The modules beside each other in one module: each with those that it uses, and for each of
/// these one use as it stands in a file.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// What one file uses.
#[derive(Debug, Default)]
struct Source {
    /// Paths of `use` declarations, with the names that they introduce.
    imports: Vec<(Vec<String>, String)>,
    /// Paths beginning with `crate`, `super` or `self` elsewhere.
    paths: Vec<Vec<String>>,
    /// Sub-modules compiled only for tests.
    test_modules: Vec<String>,
}

/// The files of a crate by their modules.
#[derive(Debug, Default)]
struct Crate {
    sources: BTreeMap<ModulePath, Source>,
}

impl Crate {
    fn read(src: &Path) -> Self {
        let mut sources = BTreeMap::new();
        for file in files(src) {
            let path = file.strip_prefix(src).unwrap().with_extension("");
            let mut module: ModulePath = path
                .iter()
                .map(|segment| segment.to_str().unwrap().to_owned())
                .collect();
            match module.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                // Each binary is a crate of its own.
                ["bin", ..] => continue,
                ["lib" | "main"] | [.., "mod"] => drop(module.pop()),
                _ => {}
            }
            sources.insert(module, Source::parse(&fs::read_to_string(file).unwrap()));
        }
        Self::of(sources)
    }

    fn of(mut sources: BTreeMap<ModulePath, Source>) -> Self {
        let tests: Vec<ModulePath> = sources
            .iter()
            .flat_map(|(module, source)| {
                source.test_modules.iter().map(|name| joined(module, name))
            })
            .collect();
        sources.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { sources }
    }

    fn contains(&self, module: &[String]) -> bool {
        self.sources.keys().any(|path| path.starts_with(module))
    }

    /// Makes a path absolute. `None`: it leads to another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut absolute = module.to_vec();
        let mut rest = path;
        match path[0].as_str() {
            "crate" => {
                absolute.clear();
                rest = &path[1..];
            }
            "super" | "self" => {
                while let [first, others @ ..] = rest
                    && ["super", "self"].contains(&first.as_str())
                {
                    if first == "super" {
                        absolute.pop();
                    }
                    rest = others;
                }
            }
            first if self.contains(&joined(module, first)) => {}
            _ => return None,
        }
        absolute.extend_from_slice(rest);
        Some(absolute)
    }

    /// Finds the modules that define what a path names: several for a glob.
    fn resolve(&self, module: &[String], path: &[String], depth: u32) -> BTreeSet<ModulePath> {
        let Some(path) = self.absolute(module, path).filter(|_| depth < 8) else {
            return BTreeSet::new();
        };
        let mut len = 0;
        while len < path.len() && self.contains(&path[..=len]) {
            len += 1;
        }
        let (found, rest) = path.split_at(len);
        let mut defining = BTreeSet::new();
        if let (Some(item), Some(source)) = (rest.first(), self.sources.get(found)) {
            for (import, name) in &source.imports {
                if name == item {
                    defining.extend(self.resolve(found, import, depth + 1));
                }
            }
        }
        if defining.is_empty() || rest.first().is_some_and(|item| item == "*") {
            defining.insert(found.to_vec());
        }
        defining
    }

    /// Returns the uses between modules that lie beside each other, by the module that contains
    /// them.
    fn uses(&self) -> BTreeMap<ModulePath, Uses> {
        let mut uses: BTreeMap<ModulePath, Uses> = BTreeMap::new();
        for (module, source) in &self.sources {
            let imports = source.imports.iter().map(|(path, _)| path);
            for path in imports.chain(&source.paths) {
                for used in self.resolve(module, path, 0) {
                    let common = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
                    if common < module.len() && common < used.len() {
                        let witness = format!("{} uses {}", module.join("/"), path.join("::"));
                        uses.entry(module[..common].to_vec())
                            .or_default()
                            .entry(module[common].clone())
                            .or_default()
                            .insert(used[common].clone(), witness);
                    }
                }
            }
        }
        uses
    }

    /// Lists the uses that lie on a circle.
    fn circles(&self) -> Vec<String> {
        let mut circles = Vec::new();
        for uses in self.uses().values() {
            for (module, used) in uses {
                for (other, witness) in used {
                    if reachable(uses, other).contains(module) {
                        circles.push(format!("{witness} ({module} -> {other} -> {module})"));
                    }
                }
            }
        }
        circles
    }

    /// Lists the uses of modules at the top of the crate that a table does not allow.
    fn forbidden(&self, allowed: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
        let uses = self.uses().remove(&Vec::new()).unwrap_or_default();
        let mut forbidden = Vec::new();
        for (module, used) in uses {
            let allowed = allowed.get(&module).cloned().unwrap_or_default();
            let others = used
                .into_iter()
                .filter(|(other, _)| !allowed.contains(other));
            forbidden
                .extend(others.map(|(other, witness)| format!("{witness} ({module} -> {other})")));
        }
        forbidden
    }

    /// Returns the modules at the top of the crate.
    fn top(&self) -> BTreeSet<String> {
        self.sources
            .keys()
            .filter_map(|path| path.first().cloned())
            .collect()
    }
}

impl Source {
    fn parse(text: &str) -> Self {
        let mut source = Self::default();
        let tokens = without_tests(&tokens(text), &mut source.test_modules);
        let mut i = 0;
        while i < tokens.len() {
            let is_path = ["crate", "super", "self"].contains(&tokens[i].as_str())
                && tokens.get(i + 1).is_some_and(|next| next == "::")
                && (i == 0 || !["::", "$"].contains(&tokens[i - 1].as_str()));
            if tokens[i] == "use" {
                i = tree(&tokens, i + 1, &[], &mut source.imports);
            } else if is_path {
                let mut paths = Vec::new();
                i = tree(&tokens, i, &[], &mut paths);
                source.paths.extend(paths.into_iter().map(|(path, _)| path));
            } else {
                i += 1;
            }
        }
        source
    }
}

/// Reads a tree of paths as in a `use` declaration. Returns the token after it.
fn tree(
    tokens: &[String],
    mut i: usize,
    prefix: &[String],
    found: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let mut path = prefix.to_vec();
    while i < tokens.len() {
        let token = &tokens[i];
        i += 1;
        if token == "{" {
            while i < tokens.len() && tokens[i] != "}" {
                i = tree(tokens, i, &path, found);
                if tokens.get(i).is_some_and(|next| next == ",") {
                    i += 1;
                }
            }
            return i + 1;
        }
        // `self` at the end of a path names the module before it.
        if token != "self" || path.is_empty() {
            path.push(token.clone());
        }
        if tokens.get(i).is_some_and(|next| next == "::") {
            i += 1;
            continue;
        }
        let name = match tokens.get(i).map(String::as_str) {
            Some("as") => {
                i += 2;
                tokens[i - 1].clone()
            }
            _ => path.last().unwrap().clone(),
        };
        found.push((path, name));
        break;
    }
    i
}

/// Removes items under `#[cfg(test)]` or `#[cfg(all(test, ...))]`, and collects the names of
/// modules among them.
fn without_tests(tokens: &[String], modules: &mut Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let start: Vec<&str> = tokens[i..].iter().take(7).map(String::as_str).collect();
        let is_test = start.starts_with(&["#", "[", "cfg", "(", "test"])
            || start.starts_with(&["#", "[", "cfg", "(", "all", "(", "test"]);
        if !is_test {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let mut depth = 0;
        while i < tokens.len() {
            match tokens[i].as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                "mod" if depth == 0 => modules.push(tokens[i + 1].clone()),
                _ => {}
            }
            i += 1;
            if depth == 0 && [";", "}", ","].contains(&tokens[i - 1].as_str()) {
                break;
            }
        }
    }
    kept
}

/// Splits Rust source into words, `::` and single characters, without comments, and without
/// literals of strings and characters.
fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let mut tokens: Vec<String> = Vec::new();
    let mut i = 0;
    while i < text.len() {
        match (at(i), at(i + 1)) {
            ('/', '/') => {
                while i < text.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            ('"', _) => {
                let is_raw = tokens
                    .last()
                    .is_some_and(|last| last == "r" || last == "br" || last == "#");
                let hashes = tokens
                    .iter()
                    .rev()
                    .take_while(|token| *token == "#")
                    .count();
                i += 1;
                while i < text.len() {
                    if at(i) == '"' && (!is_raw || (1..=hashes).all(|n| at(i + n) == '#')) {
                        break;
                    }
                    i += if at(i) == '\\' && !is_raw { 2 } else { 1 };
                }
                i += 1;
                if is_raw {
                    i += hashes;
                    tokens.truncate(tokens.len() - hashes);
                }
            }
            // A character, not a lifetime.
            ('\'', '\\') => {
                i += 3;
                while i < text.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (':', ':') => {
                tokens.push("::".into());
                i += 2;
            }
            (c, _) if is_word(c) => {
                let start = i;
                while is_word(at(i)) {
                    i += 1;
                }
                tokens.push(text[start..i].iter().collect());
            }
            (c, _) => {
                if !c.is_whitespace() {
                    tokens.push(c.into());
                }
                i += 1;
            }
        }
    }
    tokens
}

fn joined(module: &[String], name: &str) -> ModulePath {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

fn reachable<'a>(uses: &'a Uses, from: &'a String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::from([from]);
    let mut pending = vec![from];
    while let Some(module) = pending.pop() {
        for other in uses.get(module).into_iter().flat_map(|used| used.keys()) {
            if found.insert(other) {
                pending.push(other);
            }
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the first block of text below a heading of ARCHITECTURE.md.
fn block(heading: &str) -> String {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, block) = section.split_once("```text\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.to_owned()
}

/// Reads the table of the modules that each module may use, by crate. A module may use those that
/// are listed before it.
fn table(block: &str) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut table: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut name = String::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            name = line.trim().to_owned();
            table.insert(name.clone(), BTreeMap::new());
            continue;
        }
        let modules = table.get_mut(&name).unwrap();
        let (module, used) = line.trim().split_once(' ').unwrap();
        let used: BTreeSet<String> = used
            .split(',')
            .map(|used| used.trim().to_owned())
            .filter(|used| used != "nothing")
            .collect();
        for used in &used {
            assert!(
                modules.contains_key(used),
                "ARCHITECTURE.md, {name}: {module} uses {used}, which is not listed before it"
            );
        }
        modules.insert(module.to_owned(), used);
    }
    table
}

fn crates() -> BTreeMap<String, Crate> {
    let folders = fs::read_dir(root().join("crates")).unwrap();
    folders
        .map(|folder| folder.unwrap().path())
        .filter(|folder| folder.join("src").is_dir())
        .map(|folder| {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            (name, Crate::read(&folder.join("src")))
        })
        .collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let table = table(&block("Who may use whom"));
    let crates = crates();
    let mut failures = Vec::new();
    for (name, allowed) in &table {
        let listed: BTreeSet<String> = allowed.keys().cloned().collect();
        let top = crates[name].top();
        let differences = listed.symmetric_difference(&top);
        failures.extend(differences.map(|module| format!("{name}: {module} is not in both")));
        let forbidden = crates[name].forbidden(allowed);
        failures.extend(forbidden.into_iter().map(|used| format!("{name}: {used}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn no_modules_use_each_other() {
    let mut failures = Vec::new();
    let crates = crates();
    for name in table(&block("Who may use whom")).keys() {
        let circles = crates[name].circles();
        failures.extend(
            circles
                .into_iter()
                .map(|circle| format!("{name}: {circle}")),
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Checks the tree line by line: names, each indented below the folder that contains it, then two
/// spaces and a description, in which files of that folder may be named too.
#[test]
fn the_tree_is_the_one_that_exists() {
    let root = root();
    let mut failures = Vec::new();
    // The folders that contain the current line, with their indentation.
    let mut open: Vec<(usize, PathBuf)> = Vec::new();
    for line in block("Folders").lines() {
        let indent = line.len() - line.trim_start().len();
        open.retain(|(folder_indent, _)| *folder_indent < indent);
        let mut folder = open
            .last()
            .map_or(root.clone(), |(_, folder)| folder.clone());
        let mut pieces = line.trim().split("  ").filter(|piece| !piece.is_empty());
        let is_name =
            |piece: &str| !piece.contains(' ') && (piece.ends_with('/') || piece.ends_with(".rs"));
        let names: Vec<&str> = pieces
            .by_ref()
            .take_while(|piece| is_name(piece.trim()))
            .collect();
        for (n, name) in names.iter().enumerate() {
            let path = folder.join(name.trim());
            if !path.exists() || path.is_dir() != name.ends_with('/') {
                failures.push(format!("{} does not exist: {line}", path.display()));
            }
            if n == 0 {
                folder = path.parent().unwrap().to_owned();
                open.push((indent, path));
            }
        }
        let near = open
            .last()
            .map(|(_, path)| path.clone())
            .unwrap_or_default();
        let described = line.split([' ', ',', ';', ':', '(', ')', '`']);
        for name in described.filter(|word| word.ends_with(".rs") && !names.contains(word)) {
            if !near.join(name).exists() && !folder.join(name).exists() {
                failures.push(format!("{name} does not exist: {line}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn types_of_the_glossary_exist() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let (_, glossary) = text.split_once("\n## Glossary\n").unwrap();
    let (glossary, _) = glossary.split_once("\n## ").unwrap();
    let rows = glossary.lines().filter(|line| line.starts_with("| "));
    let types: Vec<&str> = rows
        .filter_map(|row| row.trim_end_matches('|').rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(types.len() > 20, "{types:?}");
    let mut defined = BTreeSet::new();
    for file in files(&root().join("crates")) {
        let tokens = tokens(&fs::read_to_string(file).unwrap());
        for pair in tokens.windows(2) {
            if ["struct", "enum", "trait"].contains(&pair[0].as_str()) {
                defined.insert(pair[1].clone());
            }
        }
    }
    let missing: Vec<&&str> = types
        .iter()
        .filter(|name| !defined.contains(**name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are not defined");
}

fn sample(files: &[(&str, &str)]) -> Crate {
    let path = |name: &str| {
        name.split('/')
            .filter(|s| !s.is_empty())
            .map(Into::into)
            .collect()
    };
    let sources = files
        .iter()
        .map(|(name, text)| (path(name), Source::parse(text)));
    Crate::of(sources.collect())
}

#[test]
fn a_circle_is_found_through_others_and_through_exports() {
    let modules = sample(&[
        ("", "mod a; mod b; mod c;"),
        ("a", "use crate::b::Item; use std::fmt;"),
        ("b", "mod inner; pub use self::inner::Item;"),
        (
            "b/inner",
            "use super::helper; fn f() { crate::c::g(\"crate::a\") }",
        ),
        ("c", "use crate::{a::{self, X as Y}}; // crate::b"),
    ]);
    let circles = modules.circles();
    assert_eq!(circles.len(), 3, "{circles:#?}");
    assert!(
        circles[0].starts_with("a uses crate::b::Item"),
        "{circles:#?}"
    );
    let without = sample(&[
        ("", "mod a; mod b; pub use b::Item;"),
        (
            "a",
            "use crate::Item; struct A<'a>(&'a str); const C: char = '\"';",
        ),
        (
            "b",
            "#[cfg(test)] mod tests { use crate::a; } const R: &str = r#\"crate::a\"#;",
        ),
    ]);
    assert!(without.circles().is_empty(), "{:#?}", without.circles());
    let top = without.uses().remove(&Vec::new()).unwrap();
    assert_eq!(top["a"].keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn an_upward_use_is_found() {
    let table = table("sample\n  a   nothing\n  b   a\n");
    let downward = sample(&[("a", ""), ("b", "use crate::a;")]);
    assert!(downward.forbidden(&table["sample"]).is_empty());
    let upward = sample(&[("a", "fn f() { crate::b::g() }"), ("b", "")]);
    assert_eq!(upward.forbidden(&table["sample"]).len(), 1);
}

//! No file imports another in a circle. A file that uses a module below or above it is left out: the parent of
//! a module declares it and passes its names on, so the two belong together.
//!
//! Looks at `use` and at paths that begin with `crate`, `self` or `super`, and follows names that a module passes on.
//! Does not see names that come by a glob, methods, and what macros hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, Token, UseTree};

/// The path of a module in its crate; empty for the crate itself.
type Module = Vec<String>;

/// What a file says of names: what it imports, and the names of its modules.
#[derive(Default)]
struct File {
    /// Paths that it names, each with the module in which it stands.
    paths: Vec<(Module, Vec<String>)>,
    /// Names that its modules import, with their paths.
    imports: BTreeMap<(Module, String), Vec<String>>,
    /// Modules in files of their own that only tests have.
    only_tests: BTreeSet<Module>,
}

struct Reader {
    module: Module,
    file: File,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.parse_args::<Meta>();
        attribute.path().is_ident("cfg") && condition.is_ok_and(|one| needs_test(&one))
    })
}

/// Whether a condition holds only in tests: `test`, or `all` with it.
fn needs_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            parts.is_ok_and(|parts| parts.iter().any(needs_test))
        }
        _ => false,
    }
}

impl Reader {
    fn read_use(&mut self, tree: &UseTree, mut path: Vec<String>) {
        let (name, binds) = match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                return self.read_use(&step.tree, path);
            }
            UseTree::Group(group) => {
                let trees = group.items.iter();
                return trees.for_each(|tree| self.read_use(tree, path.clone()));
            }
            UseTree::Glob(_) => return self.file.paths.push((self.module.clone(), path)),
            UseTree::Name(name) => (&name.ident, &name.ident),
            UseTree::Rename(name) => (&name.ident, &name.rename),
        };
        let mut binds = binds.to_string();
        if name == "self" {
            binds = path.last().cloned().unwrap_or_default();
        } else {
            path.push(name.to_string());
        }
        self.file.paths.push((self.module.clone(), path.clone()));
        self.file.imports.insert((self.module.clone(), binds), path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Const(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        } else if let Item::Mod(item) = item {
            let mut module = self.module.clone();
            module.push(item.ident.to_string());
            self.file.only_tests.insert(module);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.read_use(&item.tree, Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|one| one.ident.to_string());
        let names: Vec<String> = names.collect();
        if matches!(names[0].as_str(), "crate" | "self" | "super") {
            self.file.paths.push((self.module.clone(), names));
        }
        visit::visit_path(self, path);
    }
}

/// The files of a crate by the modules that they hold.
struct Crate(BTreeMap<Module, File>);

impl Crate {
    /// `sources`: paths below the crate's source folder, and texts.
    fn read(sources: &[(String, String)]) -> Self {
        let mut files = BTreeMap::new();
        for (path, text) in sources {
            let mut module: Module = path
                .trim_end_matches(".rs")
                .split('/')
                .map(str::to_owned)
                .collect();
            if matches!(
                module.last().map(String::as_str),
                Some("mod" | "lib" | "main")
            ) {
                module.pop();
            }
            let mut reader = Reader {
                module: module.clone(),
                file: File::default(),
            };
            reader.visit_file(&syn::parse_file(text).unwrap());
            files.insert(module, reader.file);
        }
        let only_tests: Vec<Module> = (files.values())
            .flat_map(|file| file.only_tests.iter().cloned())
            .collect();
        files.retain(|module, _| !only_tests.iter().any(|one| module.starts_with(one)));
        Self(files)
    }

    /// The file that holds a module.
    fn file_of(&self, module: &[String]) -> &Module {
        let lengths = (0..=module.len()).rev();
        let mut files = lengths.filter_map(|length| self.0.get_key_value(&module[..length]));
        files.next().expect("the crate's own file").0
    }

    /// The file that defines what a path names, if it is of this crate.
    fn defines(&self, module: &[String], path: &[String], depth: usize) -> Option<&Module> {
        /// Names are passed on a few times at most.
        const DEEPEST: usize = 8;
        let mut at = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            first => {
                at.push(first.to_owned());
                if !self.0.contains_key(&at) {
                    return None;
                }
                rest = &rest[1..];
            }
        }
        while let Some((first, others)) = rest.split_first() {
            if first == "super" {
                at.pop();
            } else {
                at.push(first.clone());
                if !self.0.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
            rest = others;
        }
        let file = self.file_of(&at);
        let name = rest.first().cloned().unwrap_or_default();
        let passed_on = self.0.get(file)?.imports.get(&(at.clone(), name));
        let source = passed_on
            .filter(|_| depth < DEEPEST)
            .and_then(|path| self.defines(&at, path, depth + 1));
        Some(source.unwrap_or(file))
    }

    /// Which files each file imports.
    fn imports(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let edges = self.0.iter().map(|(from, file)| {
            let targets = file.paths.iter();
            let targets = targets.filter_map(|(module, path)| self.defines(module, path, 0));
            let apart = |to: &&Module| !to.starts_with(from) && !from.starts_with(to);
            (from, targets.filter(apart).collect())
        });
        edges.collect()
    }

    /// Pairs of files that import each other, directly or through others.
    fn circles(&self) -> Vec<String> {
        let imports = self.imports();
        let reached = |from| {
            let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(one) = next.pop() {
                next.extend(
                    imports[one]
                        .iter()
                        .copied()
                        .filter(|to| reached.insert(*to)),
                );
            }
            reached
        };
        let mut found = Vec::new();
        for (from, targets) in &imports {
            for to in targets {
                if reached(*to).contains(from) {
                    found.push(format!("{} → {}", from.join("/"), to.join("/")));
                }
            }
        }
        found
    }
}

fn sources(folder: &Path, below: &str, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            sources(&path, &format!("{below}{name}/"), found);
        } else if name.ends_with(".rs") {
            found.push((
                format!("{below}{name}"),
                std::fs::read_to_string(&path).unwrap(),
            ));
        }
    }
}

#[test]
fn no_file_imports_another_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut crates = vec![root.join("src"), root.join("mock-server/src")];
    for entry in std::fs::read_dir(root.join("crates")).unwrap() {
        crates.push(entry.unwrap().path().join("src"));
    }
    for folder in crates {
        let mut files = Vec::new();
        sources(&folder, "", &mut files);
        let files = Crate::read(&files);
        assert!(!files.0.is_empty(), "{}", folder.display());
        assert_eq!(files.circles(), [""; 0], "{}", folder.display());
    }
}

fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    let files: Vec<_> = files.iter().map(owned).collect();
    Crate::read(&files).circles()
}

#[test]
fn circles_are_found_through_names_that_are_passed_on() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; pub use b::inner::Inner;"),
        ("a.rs", "use crate::Inner; pub struct A(Inner);"),
        ("b/mod.rs", "pub mod inner; use inner::Inner;"),
        ("b/inner.rs", "pub struct Inner(super::super::c::C);"),
        ("c.rs", "pub struct C; fn f() { crate::a::g(); }"),
    ];
    let found = circles(&files);
    assert_eq!(found, ["a → b/inner", "b/inner → c", "c → a"]);
    // Without one of the three.
    let mut open = files;
    open[4].1 = "pub struct C;";
    assert_eq!(circles(&open), [""; 0]);
}

#[test]
fn tests_and_the_modules_above_make_no_circle() {
    let found = circles(&[
        ("lib.rs", "mod a; mod b; use a::A; pub struct All(A);"),
        (
            "a.rs",
            "use super::All; pub struct A; #[cfg(all(test, unix))] mod tests { use crate::b::B; }",
        ),
        (
            "b.rs",
            "use crate::a::A; pub struct B(A); #[cfg(test)] mod only;",
        ),
        ("b/only.rs", "use crate::a::A;"),
    ]);
    assert_eq!(found, [""; 0]);
}

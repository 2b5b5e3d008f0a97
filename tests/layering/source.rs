//! Reads a source file: what it names (paths from the root of its crate), and what its first part, up
//! to its tests, holds. Not a parser: comments and literals are taken out, the rest is words and signs.

use std::collections::BTreeSet;

/// What stands in a source file outside comments, literals and tests.
#[derive(Debug)]
pub(super) struct Source {
    /// Path of the file, from the repository's root.
    pub(super) path: String,
    /// Words (identifiers) and signs, in order.
    pub(super) tokens: Vec<String>,
    /// Number of lines before the tests.
    pub(super) lines: usize,
    /// All tokens, those of the tests too.
    pub(super) all_tokens: Vec<String>,
    /// Whether the file says at its top what question it answers.
    pub(super) explains_itself: bool,
}

impl Source {
    /// Reads a file.
    pub(super) fn read(path: &str, text: &str) -> Self {
        let before = tests_at(text).map_or(text, |at| &text[..at]);
        Self {
            path: path.to_owned(),
            tokens: tokens(before),
            lines: before.lines().count(),
            all_tokens: tokens(text),
            explains_itself: text.starts_with("//! "),
        }
    }

    /// Gives the names of child modules that are there for tests only.
    pub(super) fn test_children(&self) -> BTreeSet<String> {
        let declares = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
        self.all_tokens
            .windows(declares.len() + 2)
            .filter(|window| {
                window[..declares.len()] == declares && window[declares.len() + 1] == ";"
            })
            .map(|window| window[declares.len()].clone())
            .collect()
    }

    /// Gives the path of its module within its crate: `["journal", "sqlite"]`, empty for the root.
    pub(super) fn module(&self) -> Vec<String> {
        let inside = self.path.rsplit_once("src/").map_or(&*self.path, |(_, inside)| inside);
        let inside = inside.strip_suffix(".rs").unwrap_or(inside);
        let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
        if ["mod", "lib", "main"].contains(&module.last().map_or("", |name| name)) {
            module.pop();
        }
        module
    }

    /// Gives all paths that the file names, those within its crate from the crate's root: first word
    /// `crate`. Others begin with the name of a crate, or of something local.
    pub(super) fn paths(&self) -> BTreeSet<Vec<String>> {
        let mut paths = BTreeSet::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if self.tokens[at] == "use" {
                at = use_tree(&self.tokens, at + 1, &[], &mut paths);
            } else if is_word(&self.tokens[at]) {
                let mut path = vec![self.tokens[at].clone()];
                at += 1;
                while let [sign, word, ..] = &self.tokens[at..]
                    && sign == "::"
                    && is_word(word)
                {
                    path.push(word.clone());
                    at += 2;
                }
                if path.len() > 1 {
                    paths.insert(path);
                }
            } else {
                at += 1;
            }
        }
        paths.into_iter().map(|path| self.absolute(path)).collect()
    }

    fn absolute(&self, path: Vec<String>) -> Vec<String> {
        let mut module = self.module();
        let mut rest = path.as_slice();
        match rest.first().map_or("", |word| word) {
            "self" => rest = &rest[1..],
            "super" => {}
            "tallybook" => module.clear(),
            _ => return path,
        }
        while let Some((word, after)) = rest.split_first()
            && ["super", "tallybook"].contains(&&**word)
        {
            module.pop();
            rest = after;
        }
        [vec!["crate".to_owned()], module, rest.to_vec()].concat()
    }
}

/// Gives where the module of tests within a file begins: `#[cfg(test)]`, other attributes, `mod … {`.
fn tests_at(text: &str) -> Option<usize> {
    text.match_indices("\n#[cfg(test)]\n").map(|(at, _)| at + 1).find(|at| {
        let mut after = text[*at..].lines().skip_while(|line| !line.starts_with("mod "));
        let attributes = text[*at..].lines().take_while(|line| !line.starts_with("mod "));
        after.next().is_some_and(|line| line.ends_with('{'))
            && attributes.skip(1).all(|line| line.starts_with(['#', ' ', ')', ']']))
    })
}

/// Reads one `use` tree, gives the place after it.
fn use_tree(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    paths: &mut BTreeSet<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match &**token {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = use_tree(tokens, at, &path, paths);
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "," | "}" | ";" => break,
            "as" => at += 1,
            "::" | "*" => {}
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
    paths.insert(path);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first == '_' || first.is_alphabetic())
}

/// Gives the words and signs of a text without comments and literals.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = literal(rest) {
            length
        } else if first == '_' || first.is_alphanumeric() {
            let ends = |c: char| c != '_' && !c.is_alphanumeric();
            let length = rest.find(ends).unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let here = &text[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Gives the length of the string, character or lifetime that the text begins with.
fn literal(text: &str) -> Option<usize> {
    let body = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - body.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix + 1 + hashes + 1 + length);
    }
    if body.starts_with('"') {
        return Some(prefix + quoted(body, '"'));
    }
    if let Some(inside) = body.strip_prefix('\'') {
        let mut characters = inside.chars();
        let first = characters.next()?;
        let closes = first == '\\' || characters.next() == Some('\'');
        let lifetime = || {
            let ends = |c: char| c != '_' && !c.is_alphanumeric();
            1 + inside.find(ends).unwrap_or(inside.len())
        };
        return Some(prefix + if closes { quoted(body, '\'') } else { lifetime() });
    }
    None
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

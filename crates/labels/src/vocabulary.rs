//! The terms that labels are made of. They are data: a new generator needs an entry in a file, no release.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use time::{Date, Month};
use toml::value::Datetime;

use domain::{ContentType, Generator, LabelledOrigin};

/// The vocabulary that is built in, and the documentation of the file.
pub(crate) const BUILT_IN: &str = include_str!("../../../configs/labels.toml");

/// Words and their codes in annotation files.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// Where it was read, for messages.
    pub(super) name: String,
    origins: BTreeMap<u32, LabelledOrigin>,
    content_types: BTreeMap<u32, String>,
    families: BTreeMap<u32, String>,
    generators: BTreeMap<u32, Generator>,
    /// By the label of the generator, where it is known.
    released: BTreeMap<String, Date>,
    /// Families and generators whose weights nobody outside has; `false` for a generator that its family does not speak for.
    proprietary: BTreeMap<String, bool>,
    real: RealCodes,
}

/// What stands in an annotation's columns `model` and `specific_model` where the image is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RealCodes {
    pub family: u32,
    pub generator: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    #[error("labels.file {} can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the vocabulary of labels in {name} is wrong: {detail}; configs/labels.toml shows what it holds")]
    Wrong { name: String, detail: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    origins: Vec<Coded<LabelledOrigin>>,
    content_types: Vec<Coded<String>>,
    families: Vec<CodedFamily>,
    generators: Vec<CodedGenerator>,
    real: RealCodes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Coded<T> {
    code: u32,
    label: T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodedFamily {
    code: u32,
    label: String,
    #[serde(default)]
    proprietary: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodedGenerator {
    code: u32,
    label: String,
    family: String,
    released: Option<Datetime>,
    /// As its family unless it is said.
    proprietary: Option<bool>,
}

impl Vocabulary {
    pub fn built_in() -> Vocabulary {
        Self::of_text("configs/labels.toml", BUILT_IN).expect("a test reads it")
    }

    pub fn read(path: &Path) -> Result<Vocabulary, VocabularyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| VocabularyError::Unreadable { path: path.to_owned(), source })?;
        Self::of_text(&path.display().to_string(), &text)
    }

    fn of_text(name: &str, text: &str) -> Result<Vocabulary, VocabularyError> {
        let wrong = |detail: String| VocabularyError::Wrong { name: name.into(), detail };
        let document: Document = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let released = released(&document.generators).map_err(wrong)?;
        let of_families = document.families.iter().map(|family| (family.label.clone(), family.proprietary));
        let said = |generator: &CodedGenerator| Some((generator.label.clone(), generator.proprietary?));
        let proprietary = of_families.chain(document.generators.iter().filter_map(said)).collect();
        let families = document.families.into_iter().map(|CodedFamily { code, label, .. }| Coded { code, label });
        let generators = document.generators.into_iter().map(|coded| {
            let CodedGenerator { code, label, family, .. } = coded;
            Coded { code, label: Generator { label, family } }
        });
        let vocabulary = Vocabulary {
            name: name.into(),
            origins: by_code("origins", document.origins).map_err(wrong)?,
            content_types: by_code("content_types", document.content_types).map_err(wrong)?,
            families: by_code("families", families).map_err(wrong)?,
            generators: by_code("generators", generators).map_err(wrong)?,
            released,
            proprietary,
            real: document.real,
        };
        vocabulary.check().map_err(wrong)?;
        Ok(vocabulary)
    }

    fn check(&self) -> Result<(), String> {
        for origin in [LabelledOrigin::Real, LabelledOrigin::Synthetic] {
            if !self.origins.values().any(|known| *known == origin) {
                return Err(format!("origin {:?} has no code", origin.as_str()));
            }
        }
        let homeless = |generator: &&Generator| !self.families.values().any(|family| *family == generator.family);
        if let Some(Generator { label, family }) = self.generators.values().find(homeless) {
            return Err(format!("generator {label:?} is of family {family:?}, which is not among the families"));
        }
        let mut labels = std::collections::BTreeSet::new();
        if let Some(twice) = self.generators.values().find(|generator| !labels.insert(generator.label.as_str())) {
            return Err(format!("generators hold {:?} twice", twice.label));
        }
        // A label may name a family in the place of a generator, so one name may not stand for both.
        let astray = |generator: &&Generator| {
            generator.label != generator.family && self.families.values().any(|family| *family == generator.label)
        };
        if let Some(Generator { label, family }) = self.generators.values().find(astray) {
            return Err(format!("generator {label:?} of family {family:?} is called like another family"));
        }
        if self.families.contains_key(&self.real.family) || self.generators.contains_key(&self.real.generator) {
            return Err("the codes under [real] are also those of a family or a generator".into());
        }
        Ok(())
    }

    /// Generators in the order of their codes.
    pub fn generators(&self) -> impl Iterator<Item = &Generator> {
        self.generators.values()
    }

    /// The day from which on there can be images of a generator; `None` where the file does not say it.
    pub fn released(&self, generator: &str) -> Option<Date> {
        self.released.get(generator).copied()
    }

    /// Whether nobody outside has the weights of a generator; `false` where the file does not say it.
    pub fn is_proprietary(&self, generator: &Generator) -> bool {
        let Generator { label, family } = generator;
        self.proprietary.get(label).or_else(|| self.proprietary.get(family)).copied().unwrap_or_default()
    }

    /// Families in the order of their codes.
    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.families.values().map(String::as_str)
    }

    pub fn content_types(&self) -> impl Iterator<Item = &str> {
        self.content_types.values().map(String::as_str)
    }

    /// The family of what a label names as its generator; `None` for a word that is not in the vocabulary.
    pub fn family_of(&self, generator: &str) -> Option<&str> {
        let named = self.generators().find(|known| known.label == generator).map(|known| known.family.as_str());
        named.or_else(|| self.families().find(|family| *family == generator))
    }

    /// Whether a label may name this generator; the error says how to fix it.
    pub fn check_generator(&self, generator: &str) -> Result<(), String> {
        if self.family_of(generator).is_some() {
            return Ok(());
        }
        let known: Vec<_> = self.generators().map(|known| known.label.as_str()).collect();
        Err(format!(
            "{generator:?} is no generator of {} ({}); add it there, with a code and a family, and name the file in \
             labels.file",
            self.name,
            known.join(", ")
        ))
    }

    /// The same of a content type.
    pub fn check_content_type(&self, content_type: ContentType) -> Result<(), String> {
        if self.content_types().any(|known| known == content_type.as_str()) {
            return Ok(());
        }
        Err(format!("{:?} is no content type of {}; add it there", content_type.as_str(), self.name))
    }

    /// By its code or its word.
    pub(super) fn origin(&self, text: &str) -> Option<LabelledOrigin> {
        by_code_or_word(&self.origins, text, |origin| origin.as_str()).copied()
    }

    pub(super) fn content_type(&self, text: &str) -> Option<&str> {
        by_code_or_word(&self.content_types, text, |word| word).map(String::as_str)
    }

    pub(super) fn family(&self, text: &str) -> Option<&str> {
        by_code_or_word(&self.families, text, |word| word).map(String::as_str)
    }

    pub(super) fn generator(&self, text: &str) -> Option<&Generator> {
        by_code_or_word(&self.generators, text, |generator| &generator.label)
    }

    pub(super) fn real(&self) -> RealCodes {
        self.real
    }
}

fn by_code_or_word<'a, T>(all: &'a BTreeMap<u32, T>, text: &str, word: impl Fn(&T) -> &str) -> Option<&'a T> {
    match text.parse::<u32>() {
        Ok(code) => all.get(&code),
        Err(_) => all.values().find(|known| word(known) == text),
    }
}

/// The days on which generators were released.
fn released(generators: &[CodedGenerator]) -> Result<BTreeMap<String, Date>, String> {
    let dated = generators.iter().filter_map(|generator| Some((&generator.label, generator.released.as_ref()?)));
    dated.map(|(label, said)| Ok((label.clone(), day(said).ok_or_else(|| no_day(label, said))?))).collect()
}

fn day(said: &Datetime) -> Option<Date> {
    let (Some(date), None, None) = (said.date, said.time, said.offset) else { return None };
    let month = Month::try_from(date.month).ok()?;
    // There were no generators of images before.
    Date::from_calendar_date(date.year.into(), month, date.day).ok().filter(|date| date.year() >= 2000)
}

fn no_day(label: &str, said: &Datetime) -> String {
    format!("generator {label:?} was released {said}, which is no day from 2000 on; write released = 2023-07-26")
}

fn by_code<T: PartialEq + std::fmt::Debug>(
    list: &str,
    items: impl IntoIterator<Item = Coded<T>>,
) -> Result<BTreeMap<u32, T>, String> {
    let mut found = BTreeMap::new();
    for Coded { code, label } in items {
        if found.values().any(|known| *known == label) {
            return Err(format!("{list} hold {label:?} twice"));
        }
        if let Some(before) = found.insert(code, label) {
            return Err(format!("{list} give code {code} to {before:?} and to another one"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_has_imaginets_codes_and_ours() {
        let vocabulary = Vocabulary::built_in();
        assert_eq!(vocabulary.generator("4").unwrap().label, "sdxl-1.0");
        assert_eq!(vocabulary.generator("9").unwrap().family, "gan");
        assert_eq!(vocabulary.family("5"), Some("other"));
        assert_eq!(vocabulary.real(), RealCodes { family: 4, generator: 8 });
        assert_eq!(vocabulary.content_types().collect::<Vec<_>>(), ["photos", "paintings", "faces", "uncategorized"]);
        for word in ["animagine-xl", "stable-diffusion"] {
            assert_eq!(vocabulary.family_of(word), Some("stable-diffusion"));
        }
        let unknown = vocabulary.check_generator("flux-9").unwrap_err();
        assert!(unknown.contains("\"flux-9\"") && unknown.contains("labels.file") && unknown.contains("midjourney"));
    }

    #[test]
    fn a_new_generator_needs_one_entry() {
        let more = "[[generators]]\ncode = 40\nlabel = \"flux-9\"\nfamily = \"other\"\n[real]";
        let vocabulary = Vocabulary::of_text("mine.toml", &BUILT_IN.replace("[real]", more)).unwrap();
        assert_eq!(vocabulary.family_of("flux-9"), Some("other"));
    }

    #[test]
    fn contradictions_are_refused_by_name() {
        let changed = |from: &str, to: &str| {
            assert!(BUILT_IN.contains(from));
            Vocabulary::of_text("mine.toml", &BUILT_IN.replacen(from, to, 1)).unwrap_err().to_string()
        };
        assert!(
            changed("label = \"taef2\"\nfamily = \"other\"", "label = \"taef2\"\nfamily = \"vae\"").contains("\"vae\"")
        );
        assert!(changed("label = \"taef2\"", "label = \"sdxl-1.0\"").contains("twice"));
        assert!(changed("code = 17", "code = 16").contains("code 16"));
        assert!(changed("label = \"taef2\"", "label = \"gan\"").contains("another family"));
        assert!(changed("family = 4\n", "family = 5\n").contains("[real]"));
        assert!(changed("label = \"synthetic\"", "label = \"fake\"").contains("mine.toml"));
        assert!(changed("code = 0", "kode = 0").contains("kode"));
    }

    #[test]
    fn generators_may_have_a_day_of_release_and_no_other_date() {
        let vocabulary = Vocabulary::built_in();
        let day = |year, month, day| Date::from_calendar_date(year, month, day).ok();
        assert_eq!(vocabulary.released("sdxl-1.0"), day(2023, Month::July, 26));
        let generator = |label: &str| vocabulary.generator(label).unwrap();
        assert!(["midjourney", "dall-e-2", "imagen"].iter().all(|label| vocabulary.is_proprietary(generator(label))));
        assert!(["sdxl-1.0", "taef2"].iter().all(|label| !vocabulary.is_proprietary(generator(label))));
        assert_eq!((vocabulary.released("gan-other"), vocabulary.released("unheard-of")), (None, None));
        let with = |date: &str| {
            let text = BUILT_IN.replacen("released = 2023-07-26", &format!("released = {date}"), 1);
            Vocabulary::of_text("mine.toml", &text).map(drop).map_err(|error| error.to_string())
        };
        with("2024-02-29").unwrap();
        for wrong in
            ["2023-02-29", "2023-13-01", "1997-01-01", "2023-07-26T10:00:00Z", "10:00:00", "\"July 2023\"", "2023"]
        {
            let said = with(wrong).unwrap_err();
            assert!(said.contains("mine.toml"), "{wrong}: {said}");
        }
        assert!(with("1997-01-01").unwrap_err().contains("\"sdxl-1.0\" was released 1997-01-01"));
    }

    #[test]
    fn the_built_in_file_has_the_families_of_newer_generators() {
        let vocabulary = Vocabulary::built_in();
        for (generator, family) in [("flux-2", "flux"), ("gpt-image-1", "gpt-image"), ("nano-banana", "gemini")] {
            assert_eq!(vocabulary.family_of(generator), Some(family));
        }
        assert_eq!(
            (vocabulary.family("6"), vocabulary.generator("24").unwrap().label.as_str()),
            (Some("flux"), "flux-2")
        );
    }
}

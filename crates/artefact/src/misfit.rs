//! Which tensors a network wants, and which a file holds.

use crate::architecture::Shapes;

/// What does not fit between the tensors that an architecture has and those that a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfit {
    pub missing: Vec<String>,
    pub unexpected: Vec<String>,
    /// Name, shape wanted, shape found.
    pub misshaped: Vec<(String, Vec<i64>, Vec<i64>)>,
}

impl Misfit {
    /// What does not fit; nothing where all of it does.
    pub fn between(wanted: &Shapes, found: &Shapes) -> Option<Misfit> {
        let mut misfit = Misfit::default();
        for (name, shape) in wanted {
            match found.get(name) {
                None => misfit.missing.push(name.clone()),
                Some(other) if other != shape => misfit.misshaped.push((name.clone(), shape.clone(), other.clone())),
                Some(_) => {}
            }
        }
        misfit.unexpected = found.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        (misfit != Misfit::default()).then_some(misfit)
    }
}

impl Misfit {
    /// In one line: how many, and the first of them.
    pub fn summary(&self) -> String {
        let Misfit { missing, unexpected, misshaped } = self;
        let first = missing.iter().chain(unexpected).chain(misshaped.iter().map(|(name, ..)| name)).next();
        format!(
            "{} tensors are missing, {} unexpected, {} of another shape; the first is {}",
            missing.len(),
            unexpected.len(),
            misshaped.len(),
            first.map_or("none", String::as_str)
        )
    }
}

impl std::fmt::Display for Misfit {
    /// Every name, one a line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Misfit { missing, unexpected, misshaped } = self;
        write!(
            f,
            "{} tensors are missing, {} unexpected, {} of another shape",
            missing.len(),
            unexpected.len(),
            misshaped.len()
        )?;
        for name in missing {
            write!(f, "\n  missing     {name}")?;
        }
        for name in unexpected {
            write!(f, "\n  unexpected  {name}")?;
        }
        for (name, wanted, found) in misshaped {
            write!(f, "\n  misshaped   {name}: {found:?} instead of {wanted:?}")?;
        }
        Ok(())
    }
}

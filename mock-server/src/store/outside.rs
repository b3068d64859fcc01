//! What a device does not have because of its filter, and what it is told when that changes.

use std::collections::BTreeSet;

use super::Told;
use super::filter::Filter;
use super::folder::{Folder, Next, Room, View};
use super::log::What;
use super::place;

/// What a device does not have because of its filter, and how the last answer changed that.
#[derive(Debug, Default)]
pub(super) struct Outside {
    /// Items that the server has kept from the device, or has told it to drop.
    items: BTreeSet<u32>,
    /// The same before the last answer.
    before: BTreeSet<u32>,
    /// Items that the last answer moved across the border.
    moved: BTreeSet<u32>,
}

impl Outside {
    /// What a device is told next. The last answer has not changed yet: see [`Step`].
    pub(super) fn next(&self, folder: &Folder, view: View, room: Room, filter: &Filter) -> Step {
        let mut step = self.step(view.known);
        if *filter == Filter::All && self.items.is_empty() {
            step.next = folder.next(view, room);
            return step;
        }
        step.cross(folder, view, room, filter);
        if !step.next.more {
            step.take_new(folder, view, room, filter);
        }
        // The device learns nothing of an item that it deletes itself, or that is deleted before it gets it.
        for number in folder.deleted(view.known, step.next.known) {
            step.items.remove(&number);
        }
        step
    }

    /// The last answer again: what it told between `view` and `after`.
    pub(super) fn again(
        &self,
        folder: &Folder,
        view: View,
        room: Room,
        (after, filter): (usize, &Filter),
    ) -> Next {
        let mut next = folder.again(view, room, after);
        if self.items.is_empty() && self.before.is_empty() {
            return next;
        }
        let crossed = self.moved.iter();
        let crossed = crossed.filter_map(|number| self.crossed(folder, *number));
        let mut changes: Vec<Told> = crossed.collect();
        changes.extend(
            next.changes
                .into_iter()
                .filter(|one| self.is_told_again(one)),
        );
        next.changes = changes;
        let mut rest = self.step(next.known);
        rest.moved.clone_from(&self.moved);
        next.more = rest.count_new(folder, view, filter) > 0;
        next
    }

    fn is_told_again(&self, change: &Told) -> bool {
        let Some(number) = number_of(change) else {
            return true;
        };
        let was_outside = self.before.contains(&number);
        let is_outside = self.items.contains(&number);
        match change {
            Told::Add(..) => !is_outside,
            Told::Update(..) => !was_outside && !is_outside && !self.moved.contains(&number),
            Told::Delete(_) | Told::SoftDelete(_) => !was_outside,
        }
    }

    /// The change of an item that crossed the border.
    fn crossed(&self, folder: &Folder, number: u32) -> Option<Told> {
        if self.items.contains(&number) {
            return Some(Told::SoftDelete(folder.id(number)));
        }
        folder.told_as_new(number)
    }

    /// An empty answer after that position.
    fn step(&self, known: usize) -> Step {
        Step {
            next: Next {
                changes: Vec::new(),
                bytes: 0,
                known,
                more: false,
            },
            items: self.items.clone(),
            moved: BTreeSet::new(),
        }
    }

    /// The device has the answer before, and gets this one.
    pub(super) fn advance(&mut self, items: BTreeSet<u32>, moved: BTreeSet<u32>) {
        self.before = std::mem::replace(&mut self.items, items);
        self.moved = moved;
    }

    /// Nothing was told, but items outside were passed over.
    pub(super) fn pass_over(&mut self, items: BTreeSet<u32>) {
        self.items = items;
    }

    /// The number of changes that a device would get.
    pub(super) fn count(&self, folder: &Folder, view: View, filter: &Filter) -> usize {
        if *filter == Filter::All && self.items.is_empty() {
            return folder.count(view);
        }
        let mut step = self.step(view.known);
        let known = folder.known_items(view);
        let crossing =
            known.filter(|(number, data)| self.items.contains(number) == filter.holds(data));
        step.moved = crossing.map(|(number, _)| number).collect();
        for number in &step.moved {
            if !step.items.remove(number) {
                step.items.insert(*number);
            }
        }
        step.moved.len() + step.count_new(folder, view, filter)
    }
}

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) next: Next,
    pub(super) items: BTreeSet<u32>,
    pub(super) moved: BTreeSet<u32>,
}

impl Step {
    fn left(&self, room: Room) -> Room {
        Room {
            changes: room.changes.saturating_sub(self.next.changes.len()),
            bytes: room.bytes.saturating_sub(self.next.bytes),
        }
    }

    fn is_full(&self, room: Room) -> bool {
        let left = self.left(room);
        left.changes == 0 || left.bytes == 0
    }

    /// Items that the device knows of, and that have crossed the border of the window.
    fn cross(&mut self, folder: &Folder, view: View, room: Room, filter: &Filter) {
        for (number, data) in folder.known_items(view) {
            let is_inside = filter.holds(data);
            if self.items.contains(&number) != is_inside {
                continue;
            }
            if self.is_full(room) {
                self.next.more = true;
                return;
            }
            self.moved.insert(number);
            if is_inside {
                self.items.remove(&number);
                self.next.bytes += folder.content(number).map_or(0, |one| one.text_size());
                self.next.changes.extend(folder.told_as_new(number));
            } else {
                self.items.insert(number);
                self.next.changes.push(Told::SoftDelete(folder.id(number)));
            }
        }
    }

    /// Takes what is new into the answer, as far as there is room, unless the filter keeps it from the
    /// device.
    fn take_new(&mut self, folder: &Folder, view: View, room: Room, filter: &Filter) {
        let left = self.left(room);
        let (items, moved) = (&mut self.items, &self.moved);
        let new = folder.next_wanted(view, left, usize::MAX, |number, what| match what {
            What::Created => {
                let content = folder.content(number);
                let is_inside = content.is_none_or(|one| filter.holds(&one.data));
                if !is_inside {
                    items.insert(number);
                }
                is_inside
            }
            What::Changed => !items.contains(&number) && !moved.contains(&number),
            What::Deleted => !items.remove(&number),
        });
        for change in &new.changes {
            if let (Told::Add(..), Some(number)) = (change, number_of(change)) {
                self.items.remove(&number);
            }
        }
        self.next.bytes += new.bytes;
        (self.next.known, self.next.more) = (new.known, new.more);
        self.next.changes.extend(new.changes);
    }

    /// The number of entries left in the log that the device gets.
    fn count_new(&self, folder: &Folder, view: View, filter: &Filter) -> usize {
        let view = View {
            known: self.next.known,
            ..view
        };
        let mut items = self.items.clone();
        let is_told = |(number, what): (u32, What)| match what {
            What::Created => {
                let content = folder.content(number);
                let is_inside = content.is_none_or(|one| filter.holds(&one.data));
                if is_inside {
                    items.remove(&number);
                } else {
                    items.insert(number);
                }
                is_inside
            }
            What::Changed => !items.contains(&number) && !self.moved.contains(&number),
            What::Deleted => !items.remove(&number),
        };
        folder.pending(view).map(is_told).filter(|one| *one).count()
    }
}

fn number_of(change: &Told) -> Option<u32> {
    let (Told::Add(id, _) | Told::Update(id, _) | Told::Delete(id) | Told::SoftDelete(id)) = change;
    place(id).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::super::{CALENDAR, FolderRecord};
    use super::*;
    use eas::commands::{Appointment, ItemChange, ItemData};

    const ROOM: Room = Room {
        changes: 10,
        bytes: usize::MAX,
    };
    const OLD: &str = "20260101T000000Z";
    const NEW: &str = "20260401T000000Z";

    fn calendar() -> Folder {
        Folder::new(FolderRecord {
            id: CALENDAR,
            parent: 0,
            name: "Calendar".to_owned(),
            folder_type: 8,
        })
    }

    fn appointment(start: &'static str) -> ItemData<'static> {
        ItemData::Calendar(Box::new(Appointment {
            start: start.into(),
            end: start.into(),
            ..Appointment::default()
        }))
    }

    fn view(known: usize) -> View {
        View {
            device: 1,
            known,
            base: 0,
        }
    }

    fn since() -> Filter {
        Filter::Since("20260314T030000".to_owned())
    }

    #[test]
    fn an_item_that_enters_the_window_before_it_is_told_of_is_added_once() {
        let (mut folder, mut outside, filter) = (calendar(), Outside::default(), since());
        let number = folder.add(appointment(OLD), None);
        let step = outside.next(&folder, view(0), ROOM, &filter);
        assert!(step.next.changes.is_empty());
        // An answer that tells of other folders leaves the position where it was.
        outside.pass_over(step.items);
        folder.change(number, &ItemChange::Data(appointment(NEW)), None);
        assert_eq!(outside.count(&folder, view(0), &filter), 1);
        let step = outside.next(&folder, view(0), ROOM, &filter);
        assert!(matches!(step.next.changes[..], [Told::Add(..)]));
        let known = view(step.next.known);
        outside.advance(step.items, step.moved);
        assert_eq!(outside.count(&folder, known, &filter), 0);
        let step = outside.next(&folder, known, ROOM, &filter);
        assert!(step.next.changes.is_empty(), "{:?}", step.next.changes);
    }

    #[test]
    fn an_item_that_changed_and_crossed_the_border_counts_once() {
        for (before, after) in [(NEW, OLD), (OLD, NEW)] {
            let (mut folder, mut outside, filter) = (calendar(), Outside::default(), since());
            let number = folder.add(appointment(before), None);
            let step = outside.next(&folder, view(0), ROOM, &filter);
            let known = view(step.next.known);
            outside.advance(step.items, step.moved);
            folder.change(number, &ItemChange::Data(appointment(after)), None);
            assert_eq!(outside.count(&folder, known, &filter), 1, "{before}");
            let step = outside.next(&folder, known, ROOM, &filter);
            assert_eq!(step.next.changes.len(), 1, "{before}");
        }
    }

    /// Nothing is kept of a deleted item, whoever deletes it, and whether or not the device has it.
    #[test]
    fn an_item_outside_that_is_gone_is_forgotten() {
        const OWN: u32 = 1;
        const OTHER: u32 = 2;
        for by in [Some(OWN), Some(OTHER), None] {
            let (mut folder, mut outside, filter) = (calendar(), Outside::default(), since());
            let numbers: Vec<u32> = (0..20)
                .map(|_| folder.add(appointment(OLD), None))
                .collect();
            let step = outside.next(&folder, view(0), ROOM, &filter);
            let mut known = step.next.known;
            outside.advance(step.items, step.moved);
            assert_eq!(outside.items.len(), 20);
            for (gone, number) in numbers.into_iter().enumerate() {
                folder.take(number, by);
                let step = outside.next(&folder, view(known), ROOM, &filter);
                assert!(step.next.changes.is_empty(), "the device does not have it");
                known = step.next.known;
                outside.pass_over(step.items);
                assert_eq!(outside.items.len(), 19 - gone, "{by:?}");
            }
            // What comes and goes between two answers leaves nothing either.
            let number = folder.add(appointment(OLD), None);
            folder.take(number, by);
            let step = outside.next(&folder, view(known), ROOM, &filter);
            assert!(
                step.next.changes.is_empty() && step.items.is_empty(),
                "{by:?}"
            );
        }
    }

    /// One pass takes what is inside, however much is outside, and says what is left.
    #[test]
    fn items_outside_take_no_room_of_an_answer() {
        let (mut folder, mut outside, filter) = (calendar(), Outside::default(), since());
        for number in 0..1000 {
            folder.add(
                appointment(if number % 100 == 99 { NEW } else { OLD }),
                None,
            );
        }
        let few = Room { changes: 4, ..ROOM };
        let mut known = 0;
        for (count, more) in [(4, true), (4, true), (2, false), (0, false)] {
            let step = outside.next(&folder, view(known), few, &filter);
            assert_eq!((step.next.changes.len(), step.next.more), (count, more));
            known = step.next.known;
            outside.advance(step.items, step.moved);
        }
        assert_eq!((known, outside.items.len()), (1000, 990));
    }
}

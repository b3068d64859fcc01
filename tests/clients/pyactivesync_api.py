"""Calls the whole public API of pyactivesync, a client for EAS 16.1, against the mock.

usage: pyactivesync_api.py HOST:PORT CONTROL_URL CA_FILE

Prints one line for each call: `ok NAME` or `FAILED NAME: reason`. Exits with 1 if a call failed or if a
public method of the client was not called.
"""

import inspect
import json
import os
import sys
import threading
import traceback
import urllib.request
from email.message import EmailMessage

from pyactivesync import Client
from pyactivesync.exceptions import StatusError
from pyactivesync.models import BodyType, Contact, ContactChange, EmailChange, FolderType, OofState

SERVER, CONTROL, CA_FILE = sys.argv[1:4]
# The requests library prefers these variables to the session's own settings.
for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
    os.environ.pop(variable, None)
USER = "load0001"
# Longer than any call takes; a held Ping must not end by it.
PING_TIMEOUT = 120

called = set()
failures = 0


def client(device):
    """A client whose method calls are recorded."""
    made = Client(
        SERVER,
        USER,
        "secret",
        device_id=device,
        user=f"{USER}@mock.test",
        verify_ssl=CA_FILE,
    )
    for name, method in inspect.getmembers(made, inspect.ismethod):
        if not name.startswith("_"):
            setattr(made, name, recorded(name, method))
    return made


def recorded(name, method):
    def call(*arguments, **options):
        called.add(name)
        return method(*arguments, **options)

    return call


def step(function):
    """Runs one step and prints its outcome."""
    global failures
    name = function.__name__
    try:
        function()
        print(f"ok {name}", flush=True)
    except Exception as error:  # each step is judged alone
        failures += 1
        print(f"FAILED {name}: {error!r}", flush=True)
        print(traceback.format_exc(limit=-2), file=sys.stderr)


def equal(found, expected):
    assert found == expected, f"found {found!r}, expected {expected!r}"


def mail(subject, body="Hello", sender=f"{USER}@mock.test", to=f"{USER}@mock.test"):
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message.set_content(body)
    return message


def deliver(subject):
    """A message through the mock's control API."""
    body = json.dumps({"to": [USER], "subject": subject, "body": "from outside"}).encode()
    request = urllib.request.Request(
        f"{CONTROL}/mail", data=body, headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()


phone = client("PYACTIVESYNC1")
tablet = client("PYACTIVESYNC2")
folders = {}
keys = {}


def drain(device, folder):
    """Synchronizes a folder until nothing more is available; returns all additions by subject."""
    key, found = keys.get((device, folder), "0"), {}
    more = True
    if key == "0":
        key = device.sync_folder(folder, "0").sync_key
    while more:
        result = device.sync_folder(folder, key)
        key, more = result.sync_key, result.more_available
        for item in result.added:
            found[item.fields.get("Email.Subject") or item.server_id] = item
        drain.changed, drain.deleted = result.changed, result.deleted
    keys[device, folder] = key
    return found


@step
def provision():
    assert len(phone.provision()) > 0
    assert phone.provision() != tablet.provision()


@step
def list_folders():
    for folder in phone.list_folders():
        folders[folder.type] = folder.id
    for kind in (FolderType.INBOX, FolderType.DRAFTS, FolderType.SENT_ITEMS, FolderType.CONTACTS):
        assert kind in folders, kind


inbox = folders.get(FolderType.INBOX, "")
drafts = folders.get(FolderType.DRAFTS, "")
sent = folders.get(FolderType.SENT_ITEMS, "")
contacts = folders.get(FolderType.CONTACTS, "")
made = {}


@step
def create_folder():
    made["folder"] = phone.create_folder("Projects", type=FolderType.USER_MAIL).id
    assert made["folder"] in {folder.id for folder in tablet.list_folders()}


@step
def create_folder_with_a_taken_name_is_status_2():
    try:
        phone.create_folder("Projects", type=FolderType.USER_MAIL)
        raise AssertionError("a second folder of the same name was made")
    except StatusError as error:
        equal(error.code, "2")


@step
def update_folder():
    phone.update_folder(made["folder"], "Old projects")
    names = {folder.id: folder.name for folder in tablet.list_folders()}
    equal(names[made["folder"]], "Old projects")


@step
def sync_folder():
    drain(phone, inbox)
    drain(tablet, inbox)
    deliver("Quarterly report")
    item = drain(phone, inbox)["Quarterly report"]
    made["mail"] = item.server_id
    assert "@" in item.fields["Email.From"], item.fields["Email.From"]
    assert item.fields["Email.DateReceived"].endswith("Z")
    equal(drain(tablet, inbox)["Quarterly report"].server_id, item.server_id)


@step
def sync_folder_with_a_filter():
    key = phone.sync_folder(inbox, "0", filter_type="2").sync_key
    subjects = [item.fields["Email.Subject"] for item in phone.sync_folder(inbox, key, filter_type="2").added]
    assert "Quarterly report" in subjects, subjects
    keys.pop((phone, inbox), None)
    drain(phone, inbox)


@step
def get_item_estimate():
    equal(phone.get_item_estimate(inbox, keys[phone, inbox]), 0)
    deliver("One more")
    equal(phone.get_item_estimate(inbox, keys[phone, inbox]), 1)
    drain(phone, inbox)
    drain(tablet, inbox)


@step
def send_mail():
    phone.send_mail(mail("To myself", "The body\nhas two lines", sender="Load <load0001@mock.test>"))
    item = drain(tablet, inbox)["To myself"]
    assert "load0001@mock.test" in item.fields["Email.From"], item.fields["Email.From"]
    drain(phone, inbox)
    assert "To myself" in drain(tablet, sent)


@step
def ping():
    result = []
    held = threading.Thread(
        target=lambda: result.append(phone.ping([inbox, sent], heartbeat=90, timeout=PING_TIMEOUT))
    )
    held.start()
    # Whether the message arrives before or after the Ping began, the Ping reports it.
    deliver("Wakes the Ping")
    held.join(PING_TIMEOUT)
    equal(result[0].status, "2")
    equal(result[0].changed_folder_ids, [inbox])
    made["woken"] = drain(phone, inbox)["Wakes the Ping"].server_id
    drain(tablet, inbox)


@step
def ping_on_an_unknown_folder_is_status_7():
    equal(phone.ping("4711", heartbeat=90, timeout=PING_TIMEOUT).status, "7")


@step
def fetch_item():
    plain = phone.fetch_item(inbox, made["mail"], body_type=BodyType.PLAIN_TEXT)
    equal(plain.body.type, BodyType.PLAIN_TEXT)
    equal(plain.body.data.strip(), "from outside")
    html = phone.fetch_item(inbox, made["mail"], body_type=BodyType.HTML)
    assert "from outside" in html.body.data
    mime = phone.fetch_item(inbox, made["mail"], body_type=BodyType.MIME)
    equal(mime.body.type, BodyType.MIME)
    assert b"Subject: Quarterly report" in mime.body.data


@step
def fetch_attachment():
    message = mail("With an attachment")
    message.add_attachment(b"\x00\x01binary\xff", maintype="application", subtype="octet-stream", filename="a.bin")
    phone.send_mail(message)
    item = drain(phone, inbox)["With an attachment"]
    drain(tablet, inbox)
    attachment = phone.fetch_item(inbox, item.server_id).attachments[0]
    equal(attachment.display_name, "a.bin")
    equal(phone.fetch_attachment(attachment.file_reference), b"\x00\x01binary\xff")


@step
def apply_email_changes():
    result = phone.apply_email_changes(
        inbox, keys[phone, inbox], [EmailChange(server_id=made["mail"], read=True, flagged=True)]
    )
    equal(result.statuses, {made["mail"]: "1"})
    keys[phone, inbox] = result.sync_key
    drain(tablet, inbox)
    change = {item.server_id: item.fields for item in drain.changed}[made["mail"]]
    equal(change["Email.Read"], "1")
    result = phone.apply_email_changes(
        inbox, keys[phone, inbox], [EmailChange(server_id=made["woken"], delete=True)]
    )
    equal(result.statuses, {made["woken"]: "1"})
    keys[phone, inbox] = result.sync_key
    drain(tablet, inbox)
    equal(drain.deleted, [made["woken"]])


@step
def apply_email_changes_to_an_unknown_item_is_status_8():
    result = phone.apply_email_changes(inbox, keys[phone, inbox], [EmailChange(server_id="4711:1", read=True)])
    equal(result.statuses, {"4711:1": "8"})
    keys[phone, inbox] = result.sync_key


@step
def move_item():
    target = made["folder"]
    drain(tablet, target)
    moved = phone.move_item(made["mail"], inbox, target)
    equal(drain(tablet, target)["Quarterly report"].server_id, moved)


@step
def create_email_draft():
    drain(tablet, drafts)
    key = phone.sync_folder(drafts, "0").sync_key
    message = mail("A draft", "Not sent yet", to="load0002@mock.test")
    result = phone.create_email_draft(drafts, key, message, read=True, client_id="draft-1")
    equal((result.status, result.client_id), ("1", "draft-1"))
    equal(drain(tablet, drafts)["A draft"].server_id, result.server_id)


@step
def create_email_draft_outside_drafts_is_status_6():
    result = phone.create_email_draft(inbox, keys[phone, inbox], mail("No draft"))
    equal(result.status, "6")
    keys[phone, inbox] = result.sync_key


@step
def create_contact():
    drain(tablet, contacts)
    key = phone.sync_folder(contacts, "0").sync_key
    contact = Contact(first_name="Ada", last_name="Lovelace", email1_address="ada@mock.test", categories=["VIP"])
    result = phone.create_contact(contacts, key, contact)
    equal(result.status, "1")
    made["contact"], keys[phone, contacts] = result.server_id, result.sync_key
    item = drain(tablet, contacts)[result.server_id]
    equal(item.fields["Contacts.LastName"], "Lovelace")


@step
def apply_contact_changes():
    changed = ContactChange(server_id=made["contact"], contact=Contact(first_name="Augusta", last_name="King"))
    result = phone.apply_contact_changes(contacts, keys[phone, contacts], [changed])
    equal(result.statuses, {made["contact"]: "1"})
    drain(tablet, contacts)
    change = {item.server_id: item.fields for item in drain.changed}[made["contact"]]
    equal(change["Contacts.LastName"], "King")
    gone = ContactChange(server_id=made["contact"], delete=True)
    result = phone.apply_contact_changes(contacts, result.sync_key, [gone])
    equal(result.statuses, {made["contact"]: "1"})
    drain(tablet, contacts)
    equal(drain.deleted, [made["contact"]])


@step
def resolve_recipients():
    found = [recipient.email_address for recipient in phone.resolve_recipients("load0001")]
    assert any(address.startswith("load0001") for address in found), found


@step
def search_gal():
    found = [entry.email_address for entry in phone.search_gal("load0001")]
    assert any(address.startswith("load0001") for address in found), found


@step
def search_mailbox():
    after = phone.search_mailbox(inbox, date_received_after="2020-01-01T00:00:00.000Z")
    assert "To myself" in [item["Email.Subject"] for item in after], after
    # The other side of the boundary: nothing was received in 2100. A search that finds nothing is answered
    # with one Result without content.
    equal(phone.search_mailbox(inbox, date_received_after="2100-01-01T00:00:00.000Z"), [{}])
    text = phone.search_mailbox(inbox, free_text="To myself")
    equal(len(text), 1)


@step
def find_mailbox():
    found = phone.find_mailbox("Quarterly", folder_id=made["folder"])
    equal([item.fields["Email.Subject"] for item in found.items], ["Quarterly report"])
    everywhere = phone.find_mailbox("Quarterly", deep_traversal=True, search_id=found.search_id)
    equal(everywhere.total, 1)
    equal(phone.find_mailbox("no such text anywhere").total, 0)


@step
def find_gal():
    found = phone.find_gal("load0001")
    equal(found.total, 1)


@step
def set_oof():
    phone.set_oof(OofState.ENABLED, reply_message="Back on Monday", applies_to=["Internal"])


@step
def get_oof():
    settings = tablet.get_oof()
    equal(settings.state, OofState.ENABLED)
    replies = {message.applies_to: message for message in settings.messages}
    equal(replies["Internal"].reply_message, "Back on Monday")


@step
def delete_folder():
    phone.delete_folder(made["folder"])
    assert made["folder"] not in {folder.id for folder in tablet.list_folders()}


@step
def close():
    phone.close()
    tablet.close()


public = {
    name
    for name, _ in inspect.getmembers(Client, inspect.isfunction)
    if not name.startswith("_")
}
if public - called:
    failures += 1
    print(f"FAILED every_public_method: not called: {sorted(public - called)}")
else:
    print(f"ok every_public_method ({len(public)})")
sys.exit(1 if failures else 0)

"""Visit the shop, as its first customers would, and print what they see."""

from page import app

client = app.test_client()


def visit(category: str) -> None:
    """Print the page of a category in one line."""
    print(" ".join(client.get(f"/{category}").text.split()))


visit("kitchen")
client.post("/kitchen", data={"name": "<kettle>"})
visit("kitchen")
visit("kitchen")
visit("garden")
client.post("/garden", data={"name": "spade"})
visit("kitchen")
visit("garden")

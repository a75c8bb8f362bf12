"""What the collection as a whole needs: its inventory, choices, exports, the report and the page for labels."""

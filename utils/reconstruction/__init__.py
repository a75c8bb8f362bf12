"""From kept patches back to subvolumes of the volumes they came from."""

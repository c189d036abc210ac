"""Classes of a core view's people, to judge it together with what its audience already holds"""

from alembic import op
import sqlalchemy as sa


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('core_view', schema=None) as batch_op:
        batch_op.add_column(sa.Column('partition', sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("the ledger cites these tables: restore a backup instead")

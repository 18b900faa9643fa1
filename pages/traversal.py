import streamlit as st

st.write('traversal')

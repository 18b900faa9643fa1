import streamlit as st

st.write('library')
